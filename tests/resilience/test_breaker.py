"""No calls to what does not answer, one probe, and no verdict where there is none."""

import asyncio

import httpx
import pytest

from labkit.resilience import Breaker, CircuitOpenError, Retry, State
from labkit.testing.flaky import Mood


async def fail():
    """Be the destination that is down."""
    raise ConnectionError("postgresql://app:hunter2@db/prod refused")


async def answer():
    """Be the destination that is up."""
    return "answer"


async def outcome(call):
    """Return the result, or the name of the error."""
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the name is the outcome
        return type(error).__name__


@pytest.fixture
def breaker(clock):
    """Return a function that makes a breaker on the test's clock."""

    def make(**options):
        defaults = {"failures": (ConnectionError,), "threshold": 3, "window": 6, "clock": clock}
        return Breaker("rates", **(defaults | options))

    return make


async def opened(breaker):
    """Fail until it opens."""
    while breaker.state is State.CLOSED:
        await outcome(breaker.call(fail))
    return breaker


async def test_it_opens_after_the_threshold_and_refuses_at_once(breaker):
    """The refusal is typed, says when to come back, and holds nothing of the cause."""
    rates = await opened(breaker(recovery_s=10))
    with pytest.raises(CircuitOpenError) as refusal:
        await rates.call(fail)
    assert (refusal.value.destination, refusal.value.retry_after_s) == ("rates", 10)
    assert str(refusal.value) == "rates is not called for 10.0 s: it kept failing"
    assert refusal.value.__cause__ is refusal.value.__context__ is None
    assert (rates.stats.calls, rates.stats.failures, rates.stats.refused) == (3, 3, 1)


async def test_a_call_that_hangs_is_a_failure(breaker, service, eventually):
    """The deadline is inside, so a service that takes and never answers opens it."""
    service.mood = Mood.HANG
    rates = breaker(timeout_s=0.05)
    async with httpx.AsyncClient(timeout=None) as client:
        for _ in range(4):
            await outcome(rates.call(lambda: client.get(service.url)))
    assert rates.state is State.OPEN
    assert service.calls == 3
    await eventually(lambda: service.hanging == 0)


async def test_half_open_lets_one_of_fifty_through(breaker, service, clock):
    """A service that comes back is not trampled."""
    rates = await opened(breaker(recovery_s=10))
    clock.advance(10)
    async with httpx.AsyncClient() as client:
        calls = [outcome(rates.call(lambda: client.get(service.url))) for _ in range(50)]
        results = await asyncio.gather(*calls)
    assert service.calls == 1
    assert results.count("CircuitOpenError") == 49
    assert rates.state is State.CLOSED
    assert rates.stats.probes == 1


async def test_a_destination_that_has_recovered_has_a_clean_record(breaker, clock):
    """The failures from before the outage do not count towards the next one."""
    rates = await opened(breaker(threshold=3, recovery_s=10))
    clock.advance(10)
    await rates.call(answer)
    for _ in range(2):
        await outcome(rates.call(fail))
    assert rates.state is State.CLOSED
    await outcome(rates.call(fail))
    assert rates.state is State.OPEN


async def test_a_probe_that_fails_opens_it_for_another_round(breaker, clock):
    """The wait starts anew."""
    rates = await opened(breaker(recovery_s=10))
    clock.advance(10)
    assert rates.state is State.HALF_OPEN
    await outcome(rates.call(fail))
    assert rates.state is State.OPEN
    clock.advance(9)
    assert await outcome(rates.call(answer)) == "CircuitOpenError"
    clock.advance(1)
    assert await outcome(rates.call(answer)) == "answer"
    assert rates.state is State.CLOSED


async def cancelled(call):
    """Begin a call and cancel it."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    assert task.cancelled()


async def test_a_cancelled_call_is_no_verdict(breaker):
    """It neither counts as a failure nor wipes the failures before it."""
    rates = breaker(threshold=3)
    for _ in range(2):
        await outcome(rates.call(fail))
    for _ in range(20):
        await cancelled(rates.call(asyncio.Event().wait))
    assert (rates.state, rates.stats.failures) == (State.CLOSED, 2)
    await outcome(rates.call(fail))
    assert rates.state is State.OPEN


async def test_a_cancelled_probe_is_given_back(breaker, clock):
    """It stays half-open, and the next call is the probe."""
    rates = await opened(breaker(recovery_s=10))
    clock.advance(10)
    await cancelled(rates.call(asyncio.Event().wait))
    assert rates.state is State.HALF_OPEN
    assert await outcome(rates.call(answer)) == "answer"
    assert rates.state is State.CLOSED


async def test_a_probe_that_fails_by_itself_is_given_back(breaker, clock):
    """A bug of the caller says nothing about the destination."""

    async def bug():
        raise KeyError("ours")

    rates = await opened(breaker(recovery_s=10))
    clock.advance(10)
    assert await outcome(rates.call(bug)) == "KeyError"
    assert rates.state is State.HALF_OPEN
    assert await outcome(rates.call(answer)) == "answer"


async def test_one_clients_bad_input_does_not_open_it(breaker):
    """Errors that were not named are the caller's."""

    async def bad():
        return int("lots")

    rates = breaker()
    for _ in range(50):
        assert await outcome(rates.call(bad)) == "ValueError"
    assert (rates.state, rates.stats.failures) == (State.CLOSED, 0)


async def test_a_late_success_does_not_close_it(breaker):
    """What began before the change has no say, and what fails late does not either."""
    gate = asyncio.Event()
    rates = breaker()
    late = asyncio.ensure_future(rates.call(gate.wait))
    await asyncio.sleep(0)
    await opened(rates)
    gate.set()
    assert await late is True
    assert rates.state is State.OPEN


async def test_a_late_failure_does_not_end_the_probe_of_another(breaker, clock):
    """A call from before must not open the way for a second probe."""
    old, probe = asyncio.Event(), asyncio.Event()

    async def fails_late():
        await old.wait()
        raise ConnectionError

    rates = breaker(recovery_s=10)
    late = asyncio.ensure_future(outcome(rates.call(fails_late)))
    await asyncio.sleep(0)
    await opened(rates)
    clock.advance(10)
    probing = asyncio.ensure_future(rates.call(probe.wait))
    await asyncio.sleep(0)
    old.set()
    await late
    assert await outcome(rates.call(answer)) == "CircuitOpenError"
    probe.set()
    await probing
    assert rates.state is State.CLOSED


async def test_a_rare_success_does_not_hide_an_outage(breaker):
    """Four of five calls fail, never three in a row after the start, and it opens."""
    rates = breaker(threshold=4, window=6)
    for call in (fail, answer, fail, fail, answer, fail):
        await outcome(rates.call(call))
    assert rates.state is State.OPEN


async def test_old_failures_are_forgotten(breaker):
    """Failures that are far apart do not add up."""
    rates = breaker(threshold=3, window=6)
    for _ in range(20):
        for call in (fail, answer, answer, answer):
            await outcome(rates.call(call))
    assert rates.state is State.CLOSED


async def test_changes_are_told_and_logged(breaker, clock, caplog):
    """Metrics hear each new state; the log gets one line each, without the cause."""
    told = []
    rates = await opened(breaker(recovery_s=10, on_change=told.append))
    clock.advance(10)
    await rates.call(answer)
    assert told == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert caplog.messages == [
        "rates: open, was closed",
        "rates: half-open, was open",
        "rates: closed, was half-open",
    ]
    assert rates.stats.opened == 1


async def test_a_storm_of_retries_ends_at_the_breaker(breaker, service):
    """A hundred messages, three attempts each, reach a dead service three times."""
    service.mood = Mood.DIE
    rates = breaker(failures=(httpx.TransportError,))
    retry = Retry(on=(httpx.TransportError,), backoff=lambda _: 0.0)
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            await outcome(retry.call(lambda: rates.call(lambda: client.get(service.url))))
    assert service.calls == 3


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        ({"threshold": 0}, "threshold is 0"),
        ({"threshold": 7}, "threshold is 7"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"recovery_s": 0}, "recovery_s"),
        ({"failures": (Exception,)}, "failures has Exception"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(breaker, bounds, field):
    """The message names the field."""
    with pytest.raises(ValueError, match=field):
        breaker(**bounds)
