"""Exercise 98.1: a full backlog makes room for the newest message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from labkit.workbench.exercises.engine import Exercise, expect_equal

Put = Callable[[deque[str], str, int], int]

exercise = Exercise[Put](
    "98.1",
    title="Drop the oldest",
    hints=(
        "Look at `len(backlog)` before you append.",
        "`backlog.popleft()` takes the oldest message.",
    ),
)


@exercise.solution
def put(backlog: deque[str], message: str, limit: int) -> int:
    """Append `message`; return how many messages were dropped (0 or 1)."""
    # hole: make room by dropping the oldest message, and count it
    dropped = 0
    if len(backlog) >= limit:
        backlog.popleft()
        dropped = 1
    backlog.append(message)
    return dropped
    # end


@exercise.wrong("the newest message must arrive")
def drops_the_newest(backlog: deque[str], message: str, limit: int) -> int:
    """Refuse what comes last, as a full `asyncio.Queue` does."""
    if len(backlog) >= limit:
        return 1
    backlog.append(message)
    return 0


@exercise.wrong("the backlog must stay bounded")
def never_drops(backlog: deque[str], message: str, limit: int) -> int:
    """Append without a look at the limit."""
    backlog.append(message)
    return 0


@exercise.wrong("count what you drop")
def drops_in_silence(backlog: deque[str], message: str, limit: int) -> int:
    """Drop the right message and say nothing."""
    if len(backlog) >= limit:
        backlog.popleft()
    backlog.append(message)
    return 0


@exercise.check
async def check(put: Put) -> None:
    """Fill a backlog of two, then put a third message."""
    given = "three messages and room for two"
    backlog: deque[str] = deque()
    dropped = [put(backlog, message, 2) for message in ("a", "b", "c")]
    newest = backlog[-1] if backlog else None
    expect_equal(newest, "c", given=given, because="the newest message must arrive")
    expect_equal(list(backlog), ["b", "c"], given=given, because="the backlog must stay bounded")
    expect_equal(dropped, [0, 0, 1], given=given, because="count what you drop")
