"""Exercise 6.2: what may be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from labkit.testing.flaky import Flaky, Mood
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Call = Callable[[], Awaitable[Any]]
Wait = Callable[[int], Awaitable[None]]
Fetch = Callable[[Call, Wait], Awaitable[Any]]

exercise = Exercise[Fetch](
    "6.2",
    title="what may be tried again",
    hints=(
        "Name the error that may be gone in a second. A bug is still there in a second.",
        "`for attempt in (0, 1)`: return what `call()` gives; wait after a `ConnectionError`.",
        "After the third failure there is nothing to wait for: call once more, and catch nothing.",
    ),
)


@exercise.solution
async def fetch(call: Callable[[], Any], wait: Callable[[int], Any]) -> Any:
    """Return what `await call()` gives. Try three times, with `await wait(attempt)` between."""
    # hole: only a ConnectionError is tried again; after the third, it is the caller's
    for attempt in (0, 1):
        try:
            return await call()
        except ConnectionError:
            await wait(attempt)
    return await call()
    # end


@exercise.wrong("a bug is still there in a second")
async def retries_everything(call: Call, wait: Wait) -> Any:
    """Try again whatever it was, as a retry decorator does without further words."""
    for attempt in range(3):
        try:
            return await call()
        except Exception:
            if attempt == 2:
                raise
            await wait(attempt)
    return None


@exercise.wrong("the caller must hear what went wrong")
async def hides_the_error(call: Call, wait: Wait) -> Any:
    """Wrap the last error into one of its own."""
    for attempt in range(3):
        try:
            return await call()
        except ConnectionError:
            await wait(attempt)
    raise RuntimeError("gave up")


@exercise.wrong("nobody told it to stop")
async def never_gives_up(call: Call, wait: Wait) -> Any:
    """Try until it works."""
    for attempt in range(100):
        try:
            return await call()
        except ConnectionError:
            await wait(attempt)
    return None


@exercise.wrong("does not wait between the attempts")
async def hammers(call: Call, wait: Wait) -> Any:
    """Try again at once."""
    for attempt in range(3):
        try:
            return await call()
        except ConnectionError:
            if attempt == 2:
                raise
    return None


@exercise.wrong("it was cancelled, and went on")
async def cannot_be_cancelled(call: Call, wait: Wait) -> Any:
    """Take the end of the caller for one more failure."""
    for attempt in range(3):
        try:
            return await call()
        except (ConnectionError, asyncio.CancelledError):
            if attempt == 2:
                raise
            await wait(attempt)
    return None


@exercise.check
async def check(fetch: Fetch) -> None:
    """Ask a real service that fails on command: transient, dead, a bug of ours, a cancel."""
    waited: list[int] = []

    async def wait(attempt: int) -> None:
        waited.append(attempt)
        await asyncio.sleep(0)

    async with Flaky() as service, httpx.AsyncClient(timeout=3, trust_env=False) as http:

        async def call() -> Any:
            try:
                return (await http.get(service.url)).json()
            except httpx.TransportError as error:
                raise ConnectionError("rates") from error

        service.play([Mood.DIE, Mood.DIE])
        got = await _outcome(fetch(call, wait))
        given = "a service that fails twice"
        because = "the third attempt would have been answered"
        expect_equal(got, {"rate": 1.25}, given=given, because=because)
        because = "it does not wait between the attempts"
        expect_equal(waited, [0, 1], given=given, because=because)
        service.mood = Mood.DIE
        service.play([])
        got = await _outcome(fetch(call, wait))
        given = "a service that is dead"
        expect_equal(service.calls, 3, given=given, because="nobody told it to stop after three")
        because = "the caller must hear what went wrong"
        expect_equal(got, "ConnectionError", given=given, because=because)
    await _bug_and_cancel(fetch, wait)


async def _outcome(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except Exception as error:
        return type(error).__name__


async def _bug_and_cancel(fetch: Fetch, wait: Wait) -> None:
    calls = 0

    async def bug() -> None:
        nonlocal calls
        calls += 1
        raise TypeError("ours")

    await _outcome(fetch(bug, wait))
    because = "a bug is still there in a second: one attempt is enough"
    expect_equal(calls, 1, given="a call that raises TypeError", because=because)
    begun, calls = asyncio.Event(), 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        begun.set()
        await asyncio.sleep(0.2 if calls > 1 else 60)

    task = asyncio.ensure_future(fetch(hang, wait))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    given, because = "a call that is cancelled", "it was cancelled, and went on"
    expect(task.cancelled(), given=given, got=f"{calls} calls", because=because)
