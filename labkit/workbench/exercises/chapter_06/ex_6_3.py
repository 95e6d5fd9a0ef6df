"""Exercise 6.3: do not come back in step."""

from __future__ import annotations

import random
from collections.abc import Callable

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Uniform = Callable[[float, float], float]
WaitS = Callable[[int, float, float, Uniform], float]

exercise = Exercise[WaitS](
    "6.3",
    title="do not come back in step",
    hints=(
        "Three steps: double, cap, draw. Their order is the exercise.",
        "The longest wait of an attempt is `min(cap, first * 2.0**attempt)`.",
        "`uniform(0, longest)` draws after the cap. And 2.0**2000 is an OverflowError: bound it.",
    ),
)


@exercise.solution
def wait_s(attempt: int, first: float, cap: float, uniform: Callable[..., float]) -> float:
    """Return the seconds to wait before attempt 0, 1, 2, …: up to `first`, doubled, up to `cap`."""
    # hole: double, cap, then draw between nothing and that with uniform(low, high)
    longest = min(cap, first * 2.0 ** min(attempt, 32))
    return uniform(0, longest)
    # end


@exercise.wrong("in step")
def jitters_before_the_cap(attempt: int, first: float, cap: float, uniform: Uniform) -> float:
    """Add the jitter, and cut it off again."""
    return min(cap, first * 2.0 ** min(attempt, 32) + uniform(0, first))


@exercise.wrong("at the first attempt all of them came at once")
def does_not_jitter(attempt: int, first: float, cap: float, uniform: Uniform) -> float:
    """Do as `wait_exponential` does."""
    return min(cap, first * 2.0 ** min(attempt, 32))


@exercise.wrong("longer than the cap")
def jitters_beyond_the_cap(attempt: int, first: float, cap: float, uniform: Uniform) -> float:
    """Draw, and add it to the cap."""
    longest = min(cap, first * 2.0 ** min(attempt, 32))
    return uniform(0, longest) + uniform(0, longest)


@exercise.wrong("it raised OverflowError")
def overflows(attempt: int, first: float, cap: float, uniform: Uniform) -> float:
    """Forget that a client may try for a year."""
    return uniform(0, min(cap, first * 2.0**attempt))


@exercise.wrong("the second wait may be no longer than the first")
def does_not_grow(attempt: int, first: float, cap: float, uniform: Uniform) -> float:
    """Wait about as long each time."""
    return uniform(0, min(cap, first))


def _longest(_low: float, high: float) -> float:
    return high


@exercise.check
async def check(wait_s: WaitS) -> None:
    """Bounds first, with a draw that is always the highest; then a fleet of a hundred clients."""
    given = "first=5, cap=60 and a draw that is always the highest"
    for attempt in (0, 1, 3, 4, 20):
        got = wait_s(attempt, 5, 60, _longest)
        expect(got <= 60, given=given, got=got, because="longer than the cap")
    fleet = random.Random(6)  # noqa: S311 - a fleet that is the same on every run
    for attempt, when in ((0, "at the first attempt"), (20, "at the cap")):
        seconds = [wait_s(attempt, 5, 60, fleet.uniform) for _ in range(100)]
        at_once = max(seconds.count(each) for each in set(seconds))
        given = f"100 clients {when}"
        because = f"{when} all of them came at once, in step: draw after the cap"
        expect(at_once < 10, given=given, got=f"{at_once} in one moment", because=because)
    longest = [wait_s(attempt, 5, 60, _longest) for attempt in (0, 1, 2, 3, 4)]
    because = "the second wait may be no longer than the first: double it"
    given = "first=5, cap=60, five attempts"
    expect_equal(longest, [5, 10, 20, 40, 60], given=given, because=because)
    expect_equal(wait_s(20_000, 5, 60, _longest), 60, given="attempt 20,000", because="no bound")
