"""Try a learner's test on a correct server and on a wrong one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from labkit.workbench.exercises.engine import Refused
from labkit.workbench.room import Room

Test = Callable[[Any], Awaitable[None]]


async def sound(test: Test, room: Room) -> None:
    """Refuse a test that a correct server fails."""
    try:
        async with room:
            await test(room)
    except (AssertionError, TimeoutError, ConnectionError) as error:
        got = str(error).partition("\n")[0] or type(error).__name__
        because = "the correct server fails it, so it says nothing about wrong ones"
        raise Refused(given="a correct server", got=got, because=because) from error


async def noticed(test: Test, room: Room) -> None:
    """Refuse a test that a wrong server passes."""
    try:
        async with room:
            await test(room)
    except (AssertionError, TimeoutError, ConnectionError):
        return
    because = "it survives your test, so the test would not have told you"
    raise Refused(given=f"a server where {room.name}", got="a pass", because=because)
