"""Exercise 9.2: nothing is left of a question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.messaging import PeerGone
from labkit.workbench.exercises.engine import Exercise, expect_equal

Ask = Callable[[dict[str, Any], str, Callable[[str], bool], float], Awaitable[Any]]

exercise = Exercise[Ask](
    "9.2",
    title="nothing is left of a question",
    hints=(
        "`finally` is for all the ways out: an answer, a deadline, a cancelled caller, an error.",
        "`send` says False when the client takes nothing more. Then nobody will ever answer.",
        "`async with asyncio.timeout(timeout_s): return await reply`, inside the `try`.",
    ),
)


@exercise.solution
async def ask(
    pending: dict[str, Any], ref: str, send: Callable[[str], bool], timeout_s: float
) -> Any:
    """Send the question `ref`; return what is set as the result of `pending[ref]`."""
    # hole: a future in `pending`; PeerGone if `send` says False; a deadline; nothing left behind
    reply = pending[ref] = asyncio.get_running_loop().create_future()
    try:
        if not send(ref):
            raise PeerGone("the client takes nothing more")
        async with asyncio.timeout(timeout_s):
            return await reply
    finally:
        pending.pop(ref, None)
    # end


@exercise.wrong("whoever cancels leaves the question behind")
async def forgets_on_timeout_only(
    pending: dict[str, Any], ref: str, send: Callable[[str], bool], timeout_s: float
) -> Any:
    """Do as the guide does: clean up after a deadline."""
    reply = pending[ref] = asyncio.get_running_loop().create_future()
    if not send(ref):
        del pending[ref]
        raise PeerGone("gone")
    try:
        return await asyncio.wait_for(reply, timeout_s)
    except TimeoutError:
        del pending[ref]
        raise


@exercise.wrong("nobody will answer: say so at once")
async def sends_into_the_void(
    pending: dict[str, Any], ref: str, send: Callable[[str], bool], timeout_s: float
) -> Any:
    """Send, and hope."""
    reply = pending[ref] = asyncio.get_running_loop().create_future()
    try:
        send(ref)
        async with asyncio.timeout(timeout_s):
            return await reply
    finally:
        pending.pop(ref, None)


@exercise.wrong("a question without a deadline")
async def waits_for_ever(
    pending: dict[str, Any], ref: str, send: Callable[[str], bool], timeout_s: float
) -> Any:
    """Have all the time in the world."""
    reply = pending[ref] = asyncio.get_running_loop().create_future()
    try:
        if not send(ref):
            raise PeerGone("gone")
        return await reply
    finally:
        pending.pop(ref, None)


@exercise.wrong("the answer came before there was a place for it")
async def sends_too_early(
    pending: dict[str, Any], ref: str, send: Callable[[str], bool], timeout_s: float
) -> Any:
    """Send first, and then make the place for the answer."""
    if not send(ref):
        raise PeerGone("gone")
    reply = pending[ref] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.timeout(timeout_s):
            return await reply
    finally:
        pending.pop(ref, None)


@exercise.check
async def check(ask: Ask) -> None:
    """An answer, a client that is gone, silence, a send that fails, two hundred cancelled."""
    pending: dict[str, Any] = {}

    def answers(ref: str) -> bool:
        if ref in pending:
            pending.pop(ref).set_result("yes")
        return True

    given = "a client that answers while it is being asked"
    got = await _outcome(ask(pending, "1", answers, 0.2))
    because = "the answer came before there was a place for it"
    expect_equal(got, "yes", given=given, because=because)
    given, because = "a client that takes nothing more", "nobody will answer: say so at once"
    got = await _outcome(ask(pending, "2", lambda _: False, 0.2))
    expect_equal(got, "PeerGone", given=given, because=because)
    given, because = "a client that says nothing", "that is a question without a deadline"
    got = await _outcome(ask(pending, "3", lambda _: True, 0.01))
    expect_equal(got, "TimeoutError", given=given, because=because)
    expect_equal(pending, {}, given=f"{given}, after the deadline", because="it is over")
    tasks = [asyncio.ensure_future(ask(pending, str(n), lambda _: True, 60)) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=2)
    because = "whoever cancels leaves the question behind: clean up in `finally`"
    expect_equal(len(pending), 0, given="200 callers that are cancelled", because=because)


async def _outcome(asking: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(0.5) as guard:
            return await asking
    except Exception as error:
        return "no end" if guard.expired() else type(error).__name__
