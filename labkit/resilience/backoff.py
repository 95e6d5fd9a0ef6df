"""When a client comes back, so that a thousand do not come at once.

The promises: the first attempt is spread over seconds already (RFC 6455 §7.2.3), because all
clients of a server that restarts lose it in the same moment; later waits grow to a cap and stay
spread there; a code that means *stop* is obeyed; only a connection that lasted forgets the past.

Chapter 6. Pure: the program of the client sleeps, with the seconds that it gets from here.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from labkit.architecture.codes import should_reconnect
from labkit.sse.reader import backoff_s

__all__ = ["Backoff", "backoff_s"]


class Backoff:
    """The reconnection waits of one client.

    Args:
        first_s: the first attempt comes within this many seconds.
        cap_s: no wait is longer, in seconds.
        stable_s: a connection that lasted so many seconds was a good one.
        uniform: gives a number between two; a test chooses which.

    Attributes:
        attempts: waits given since the last good connection.

    Raises:
        ValueError: the bounds are not `0 < first_s <= cap_s`.
    """

    def __init__(
        self,
        *,
        first_s: float = 5.0,
        cap_s: float = 60.0,
        stable_s: float = 30.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not 0 < first_s <= cap_s:
            raise ValueError(f"first_s is {first_s}: give more than 0 and at most cap_s, {cap_s}")
        self.attempts = 0
        self._first_s = first_s
        self._cap_s = cap_s
        self._stable_s = stable_s
        self._uniform = uniform

    def after(self, code: int, *, lasted_s: float = 0.0) -> float | None:
        """Give the seconds to wait after a connection that ended, or None to stay away.

        Args:
            code: the close code; 1006 when the connection was lost or never came about.
            lasted_s: how long it was open, in seconds. A server that accepts and dies at once
                must not be taken for a healthy one.
        """
        if not should_reconnect(code):
            return None
        if lasted_s >= self._stable_s:
            self.attempts = 0
        wait_s = backoff_s(
            self.attempts, first_s=self._first_s, cap_s=self._cap_s, uniform=self._uniform
        )
        self.attempts += 1
        return wait_s
