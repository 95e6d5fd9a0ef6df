"""The same call again: named errors only, within one deadline, and never more than asked."""

import asyncio

import httpx
import pytest
from fastapi import WebSocketDisconnect

from labkit.resilience import CircuitOpenError, Retry
from labkit.testing.flaky import Mood


def at_once(_attempt):
    """Wait for nothing between attempts."""
    return 0.0


class DownError(ConnectionError):
    """A transient error."""


class Scripted:
    """A dependency that raises what it is told, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_transient_error_is_retried(service):
    """Two failures of a real service cost the caller nothing but time."""

    async def fetch():
        async with httpx.AsyncClient() as client:
            answer = await client.get(service.url)
            answer.raise_for_status()
            return answer.json()

    service.play([Mood.DIE, Mood.FAIL])
    retry = Retry(on=(httpx.TransportError, httpx.HTTPStatusError), backoff=at_once)
    assert await retry.call(fetch) == {"rate": 1.25}
    assert service.calls == 3


async def test_a_retry_is_logged_and_never_printed(capfd, caplog):
    """Also where structlog is installed, which prints unless somebody has configured it."""
    await Retry(on=(ConnectionError,), backoff=at_once).call(Scripted(DownError("1")))
    assert [(each.name, each.levelname) for each in caplog.records] == [("stamina", "WARNING")]
    assert capfd.readouterr() == ("", "")


async def test_the_last_error_comes_out_as_it_is():
    """No wrapper hides the cause, and the number of calls is bounded."""
    down = Scripted(DownError("1"), DownError("2"), DownError("3"), DownError("4"))
    with pytest.raises(DownError, match="3"):
        await Retry(on=(ConnectionError,), backoff=at_once).call(down)
    assert down.calls == 3


@pytest.mark.parametrize("error", [TypeError("bug"), ValueError("bad"), CircuitOpenError("db", 1)])
async def test_what_was_not_named_is_not_retried(error):
    """A bug, a bad request and an open breaker are one call each."""
    broken = Scripted(error)
    with pytest.raises(type(error)):
        await Retry(on=(ConnectionError,), backoff=at_once).call(broken)
    assert broken.calls == 1


async def test_a_cancellation_passes_at_once():
    """Neither during a call nor during a wait is a cancelled caller kept."""
    for backoff, call in (
        (at_once, asyncio.Event().wait),
        (lambda _: 60.0, Scripted(*[DownError()] * 9)),
    ):
        retry = Retry(on=(ConnectionError,), deadline_s=600, backoff=backoff)
        task = asyncio.ensure_future(retry.call(call))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=2)
        assert done
        assert task.cancelled()


async def test_a_call_that_hangs_ends_at_the_deadline(service, eventually):
    """The deadline is for everything together, and the service is let go."""
    service.mood = Mood.HANG
    async with httpx.AsyncClient(timeout=None) as client:
        with pytest.raises(TimeoutError):
            await Retry(on=(httpx.TransportError,), deadline_s=1).call(
                lambda: client.get(service.url)
            )
        await eventually(lambda: service.hanging == 0)
    assert service.calls == 1


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun():
    """The caller gets the error at once, not a TimeoutError later."""
    down = Scripted(DownError())
    with pytest.raises(DownError):
        await Retry(on=(ConnectionError,), deadline_s=5, backoff=lambda _: 5.0).call(down)
    assert down.calls == 1


async def test_the_backoff_is_asked_for_each_retry_in_turn():
    """Attempt numbers start at zero, for each call anew."""
    asked = []

    def backoff(attempt):
        asked.append(attempt)
        return 0.0

    retry = Retry(on=(ConnectionError,), attempts=4, backoff=backoff)
    for _ in range(2):
        await retry.call(Scripted(DownError(), DownError()))
    assert asked == [0, 1, 0, 1]


@pytest.mark.parametrize("kind", [WebSocketDisconnect, Exception])
def test_a_dead_socket_cannot_be_named(kind):
    """Nor can everything, of which a dead socket is a part."""
    with pytest.raises(ValueError, match=f"on has {kind.__name__}: name the errors"):
        Retry(on=(kind,))


@pytest.mark.parametrize("bounds", [{"on": ()}, {"attempts": 0}, {"deadline_s": 0}])
def test_bounds_that_make_no_sense_are_refused(bounds):
    """The message names the fields."""
    with pytest.raises(ValueError, match="attempts 1 or more"):
        Retry(**{"on": (OSError,), **bounds})
