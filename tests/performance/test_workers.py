"""In order where order matters, in parallel where not."""

import asyncio
import logging
import random

import pytest

from labkit.performance import Workers
from labkit.testing.waiting import until


async def test_jobs_of_one_key_are_done_in_order():
    """However long each takes: the bank account is never overdrawn by an overtaking."""
    done = {"ada": [], "bob": [], "cleo": []}

    async def handle(job):
        name, n = job
        await asyncio.sleep(random.random() / 500)
        done[name].append(n)

    async with Workers(handle) as workers:
        for n in range(50):
            for name in done:
                assert workers.put(name, (name, n))
    assert all(numbers == list(range(50)) for numbers in done.values())
    assert (workers.accepted, workers.done) == (150, 150)


async def test_keys_do_not_wait_for_each_other():
    """As many at once as `count` says, and no more."""
    running, most, gate = 0, 0, asyncio.Event()

    async def handle(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async with Workers(handle, count=4) as workers:
        for key in range(10):
            workers.put(key, key)
        await until(lambda: running == 4)
        assert workers.waiting == 6
        gate.set()
    assert (most, workers.done) == (4, 10)


async def test_who_sends_much_does_not_keep_the_others_waiting():
    """A lane goes to the end of the line after each job."""
    order = []

    async def handle(name):
        await asyncio.sleep(0)
        order.append(name)

    async with Workers(handle, count=1) as workers:
        for _ in range(100):
            workers.put("loud", "loud")
        workers.put("quiet", "quiet")
    assert order.index("quiet") <= 2


async def test_one_too_many_is_told_so():
    """What waits is bounded; a refusal is not silent, and nothing is lost by it."""
    gate = asyncio.Event()

    async def handle(_):
        await gate.wait()

    async with Workers(handle, count=1, max_waiting=3) as workers:
        answers = [workers.put("ada", n) for n in range(3)]
        await asyncio.sleep(0)
        answers += [workers.put("ada", n) for n in range(3, 6)]
        gate.set()
    assert answers == [True, True, True, True, False, False]
    assert (workers.accepted, workers.done, workers.refused) == (4, 4, 2)


async def test_every_kind_of_failure_is_the_job_s_own():
    """An error, a hang, a cancellation inside: each is reported, and the next job is done."""
    failures = []

    async def handle(job):
        if job == "error":
            raise KeyError(job)
        if job == "hang":
            await asyncio.Event().wait()
        if job == "cancel":
            raise asyncio.CancelledError

    def on_failed(job, error):
        failures.append((job, type(error).__name__))

    async with Workers(handle, timeout_s=0.05, on_failed=on_failed) as workers:
        for job in ("error", "hang", "cancel", "fine"):
            workers.put("ada", job)
    assert failures == [
        ("error", "KeyError"),
        ("hang", "TimeoutError"),
        ("cancel", "CancelledError"),
    ]
    assert (workers.done, workers.failed, workers.dropped) == (1, 3, 0)


async def test_leaving_finishes_what_was_accepted_within_a_deadline():
    """What is left is counted: accepted == done + failed + dropped."""

    async def handle(job):
        if job == "slow":
            await asyncio.Event().wait()

    async with Workers(handle, count=1, timeout_s=60, drain_s=0.05) as workers:
        for n in range(5):
            workers.put("quick", n)
        for _ in range(3):
            workers.put("slow", "slow")
    assert (workers.accepted, workers.done, workers.dropped) == (8, 5, 3)
    assert not workers.put("late", 0)
    assert not workers._lanes


async def test_an_error_that_leaves_is_not_held_up():
    """It goes on as it is, and what had not begun is dropped, and counted."""

    async def handle(_):
        await asyncio.Event().wait()

    workers = Workers(handle, timeout_s=60, drain_s=60)
    with pytest.raises(KeyError):
        async with workers:
            workers.put("ada", 1)
            raise KeyError
    assert workers.accepted == workers.dropped == 1


async def test_a_failure_is_logged_unless_somebody_else_cares(caplog):
    """With its traceback, and without what the job holds."""
    caplog.set_level(logging.ERROR)

    async def handle(_):
        raise RuntimeError("broken")

    async with Workers(handle) as workers:
        workers.put("ada", "hunter2")
    (record,) = [each for each in caplog.records if each.name == "labkit.performance.workers"]
    assert record.getMessage() == "a str job failed"
    assert "broken" in str(record.exc_info[1])


async def test_a_hook_that_fails_does_not_end_the_lane(caplog):
    """The next job is done."""

    def on_failed(job, error):
        raise ZeroDivisionError

    async def handle(job):
        if job == "bad":
            raise KeyError

    async with Workers(handle, on_failed=on_failed) as workers:
        workers.put("ada", "bad")
        workers.put("ada", "good")
    assert (workers.done, workers.failed) == (1, 1)
    assert "on_failed itself failed" in caplog.text


@pytest.mark.parametrize("field", ["count", "max_waiting", "timeout_s"])
async def test_a_number_that_does_nothing_is_an_error(field):
    """The message names it."""
    with pytest.raises(ValueError, match=f"{field} is 0"):
        Workers(print, **{field: 0})
