"""Exercise 8.2: a bucket that no clock can fool."""

from __future__ import annotations

import random
from collections.abc import Callable

from labkit.testing.clock import ManualClock
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

exercise = Exercise[type](
    "8.2",
    title="a bucket that fills by itself",
    hints=(
        "Nothing runs in the background: what has come back is computed when somebody asks.",
        "Tokens that came back: the seconds since the last question, times `per_second`.",
        "`min(self.burst, …)` is the brim. Remember the time of every question, refused or not.",
    ),
)


@exercise.solution
class Bucket:
    """Lets `burst` through at once, and `per_second` in the long run."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self.per_second, self.burst, self.clock = per_second, burst, clock
        self.tokens, self.at = burst, clock()

    def take(self) -> bool:
        """Say whether one more may pass, and count it if so."""
        # hole: fill up for the time that has passed, not beyond the brim; then take one or refuse
        now = self.clock()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_second)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
        # end


class _Started(Bucket):
    """What the wrong answers share."""


@exercise.wrong("there is no brim")
class NoBrim(_Started):
    """Let silence become credit."""

    def take(self) -> bool:
        """Forget the brim."""
        now = self.clock()
        self.tokens += (now - self.at) * self.per_second
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@exercise.wrong("the same seconds were paid out twice")
class PaidTwice(_Started):
    """Remember the time only when somebody passes."""

    def take(self) -> bool:
        """Leave `at` where it was after a refusal."""
        now = self.clock()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_second)
        if self.tokens < 1:
            return False
        self.at = now
        self.tokens -= 1
        return True


@exercise.wrong("a window that begins anew lets twice the burst through")
class Window(_Started):
    """Count in windows of a second, as a fixed-window limiter does."""

    def take(self) -> bool:
        """Fill up at the beginning of each window."""
        window = self.burst / self.per_second
        if self.clock() // window > self.at // window:
            self.tokens, self.at = self.burst, self.clock()
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@exercise.wrong("nothing comes back")
class Empty(_Started):
    """Forget to fill."""

    def take(self) -> bool:
        """Only ever take."""
        self.tokens -= 1
        return self.tokens >= 0


def _through(bucket: type, clock: ManualClock, moments: list[float], burst: int) -> list[float]:
    filled = bucket(1.0, burst, clock)
    passed = []
    for moment in moments:
        clock.advance(moment - clock())
        if filled.take():
            passed.append(clock())
    return passed


@exercise.check
async def check(bucket: type) -> None:
    """A burst, an hour of silence, a knock every tenth of a second, and a thousand at random."""
    clock = ManualClock()
    because = "let the burst through, and then refuse"
    got = len(_through(bucket, clock, [0.0] * 5, 3))
    expect_equal(got, 3, given="5 at once, burst 3", because=because)
    got = len(_through(bucket, ManualClock(), [0.0] * 3 + [3600.0] * 9, 3))
    because = "nothing comes back" if got < 6 else "there is no brim: an hour became credit"
    expect_equal(got, 6, given="3, an hour, then 9", because=because)
    window = [2.9] * 3 + [3.0] * 3
    got = len(_through(bucket, ManualClock(), window, 3))
    because = "a window that begins anew lets twice the burst through"
    expect_equal(got, 3, given="3 at 2.9 s and 3 at 3.0 s", because=because)
    knocks = [n / 10 for n in range(200)]
    got = len(_through(bucket, ManualClock(), knocks, 1))
    because = "the same seconds were paid out twice: move `at` at every question"
    expect(got <= 20, given="a knock each 0.1 s for 20 s", got=f"{got} passed", because=because)
    expect(got >= 18, given="a knock each 0.1 s for 20 s", got=f"{got} passed",
           because="nothing comes back, or not all of it")  # fmt: skip
    _random_storm(bucket)


def _random_storm(bucket: type) -> None:
    chance = random.Random(8)  # noqa: S311 - the same storm on every run
    moments = sorted(chance.uniform(0, 60) for _ in range(1000))
    passed = _through(bucket, ManualClock(), moments, 5)
    for first, begin in enumerate(passed):
        for last in range(first, len(passed)):
            allowed = 5 + passed[last] - begin + 1e-6
            expect(last - first + 1 <= allowed, given="1000 at random in a minute",
                   got=f"{last - first + 1} in {passed[last] - begin:.1f} s",
                   because="never more than burst + rate * t in any span")  # fmt: skip
