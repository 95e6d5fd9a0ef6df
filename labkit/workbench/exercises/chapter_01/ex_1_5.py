"""Exercise 1.5: call a handler that you do not know."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Handler = Callable[[str, Any], Awaitable[None] | None]
Call = Callable[[Handler, str, Any, list[Exception]], Awaitable[None]]

exercise = Exercise[Call](
    "1.5",
    title="call a stranger's handler",
    hints=(
        "Call it first. What comes back tells you whether there is something to wait for.",
        "`inspect.isawaitable(result)` answers that.",
        "`except Exception` does not catch `CancelledError`, and that is what you want.",
    ),
)


@exercise.solution
async def call(handler: Callable[..., Any], event: str, data: Any, errors: list[Exception]) -> None:
    """Call `handler(event, data)`, plain or asynchronous; keep what it raises in `errors`."""
    # hole: call, wait if there is something to wait for, keep the error
    try:
        result = handler(event, data)
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        errors.append(error)
    # end


@exercise.wrong("a plain function is a handler, too")
async def awaits_everything(
    handler: Handler, event: str, data: object, errors: list[Exception]
) -> None:
    """Wait for whatever comes back, even for None."""
    try:
        await handler(event, data)  # type: ignore[misc]
    except Exception as error:
        errors.append(error)


@exercise.wrong("it was made, and never awaited")
async def forgets_to_await(
    handler: Handler, event: str, data: object, errors: list[Exception]
) -> None:
    """Call it and look away."""
    try:
        result = handler(event, data)
        if inspect.iscoroutine(result):
            result.close()
    except Exception as error:
        errors.append(error)


@exercise.wrong("its error is not yours to raise")
async def lets_it_raise(
    handler: Handler, event: str, data: object, errors: list[Exception]
) -> None:
    """Keep the error, and raise it all the same."""
    try:
        result = handler(event, data)
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        errors.append(error)
        raise


@exercise.wrong("keep what it raised")
async def hides_the_error(
    handler: Handler, event: str, data: object, errors: list[Exception]
) -> None:
    """Do as the guide does."""
    result = handler(event, data)
    if inspect.isawaitable(result):
        await asyncio.gather(result, return_exceptions=True)


@exercise.wrong("the cancellation was meant for you")
async def swallows_cancellation(
    handler: Handler, event: str, data: object, errors: list[Exception]
) -> None:
    """Catch more than errors."""
    try:
        result = handler(event, data)
        if inspect.isawaitable(result):
            await result
    except BaseException as error:
        errors.append(error)  # type: ignore[arg-type]


@exercise.check
async def check(call: Call) -> None:
    """Four handlers, and one cancellation."""
    seen: list[str] = []

    def plain(event: str, _: object) -> None:
        seen.append(event)

    async def slow(event: str, _: object) -> None:
        await asyncio.sleep(0)
        seen.append(event)

    async def broken(event: str, data: Any) -> None:
        await asyncio.sleep(0)
        raise KeyError(data["card"])

    for handler, what, because in (
        (plain, "a plain function", "a plain function is a handler, too"),
        (slow, "a coroutine function", "it was made, and never awaited"),
    ):
        errors: list[Exception] = []
        seen.clear()
        await call(handler, "paid", {}, errors)
        got = repr(errors[0]) if errors else f"{len(seen)} calls finished"
        expect_equal(got, "1 calls finished", given=what, because=because)
    errors = []
    given = "a handler that raises KeyError"
    try:
        await call(broken, "paid", {}, errors)
    except KeyError as error:
        expect(False, given=given, got=repr(error), because="its error is not yours to raise")
    kinds = [type(error).__name__ for error in errors]
    expect_equal(kinds, ["KeyError"], given=given, because="keep what it raised")
    await _cancelled(call)


async def _cancelled(call: Call) -> None:
    begun = asyncio.Event()

    async def endless(_: str, __: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(call(endless, "paid", {}, []))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    got = "cancelled" if task.cancelled() else "it went on"
    because = "the cancellation was meant for you"
    expect_equal(got, "cancelled", given="a handler that waits, then a cancel", because=because)
