"""A clock that stands still until somebody moves it."""

from __future__ import annotations


class ManualClock:
    """Callable that returns seconds, as `time.monotonic` does, and moves only when told to.

    Args:
        start_s: First reading, in seconds.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Move forward.

        Raises:
            ValueError: `seconds` is negative; a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"seconds={seconds} is negative: a monotonic clock never goes back")
        self._now_s += seconds
