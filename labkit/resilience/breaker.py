"""No more calls to what does not answer, and one probe to find out when it does again.

The promises:
    - A call that hangs is a failure: the deadline is inside the breaker.
    - Only named errors count. A caller's cancellation or bug says nothing about the destination.
    - While it is open nobody waits: the refusal is immediate, typed, and tells when to come back.
    - Half-open lets exactly one call through. Its verdict decides; without one, the next may try.
    - What began before the last change of state has no say any more.

One breaker for each destination, shared by all its callers.

Chapter 6. The states are those of Nygard's *Release It!*; the clock is an argument.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class State(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitOpenError(Exception):
    """The call was not made, because the calls before it failed.

    Attributes:
        destination: the breaker's name.
        retry_after_s: seconds until a call may go through again.
    """

    def __init__(self, destination: str, retry_after_s: float) -> None:
        super().__init__(f"{destination} is not called for {retry_after_s:.1f} s: it kept failing")
        self.destination = destination
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class BreakerStats:
    """Counts since the start.

    Attributes:
        calls: went through to the destination.
        failures: raised a named error, or ran out of time.
        refused: not made, because the breaker was open.
        probes: went through half-open.
        opened: how often it opened.
    """

    calls: int = 0
    failures: int = 0
    refused: int = 0
    probes: int = 0
    opened: int = 0


class Breaker:
    """Stands before one destination.

    Args:
        destination: a name for logs and errors.
        failures: the errors that are the destination's fault. Running out of time always is.
        threshold: it opens after so many failures …
        window: … among the last so many calls, so that a rare success does not hide an outage.
        timeout_s: seconds for one call; shorter than the callers' own deadlines, which cancel
            and so say nothing.
        recovery_s: seconds from opening to the probe.
        clock: monotonic seconds.
        on_change: told the new state, for metrics. It must not raise.

    Raises:
        ValueError: a bound makes no sense.
    """

    def __init__(
        self,
        destination: str,
        *,
        failures: tuple[type[Exception], ...],
        threshold: int = 5,
        window: int = 10,
        timeout_s: float = 2.0,
        recovery_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[State], None] = lambda _state: None,
    ) -> None:
        if not 1 <= threshold <= window:
            raise ValueError(f"threshold is {threshold}: give 1 to window, which is {window}")
        if Exception in failures:
            raise ValueError("failures has Exception: a bug of ours would cut off the destination")
        if timeout_s <= 0 or recovery_s <= 0:
            raise ValueError("timeout_s and recovery_s must be more than 0")
        self.destination = destination
        self.stats = BreakerStats()
        self.timeout_s = timeout_s
        self.recovery_s = recovery_s
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError)
        self._threshold = threshold
        self._recent: deque[bool] = deque(maxlen=window)  # True is a failure
        self._clock = clock
        self._on_change = on_change
        self._state = State.CLOSED
        self._changed_at = clock()
        self._era = 0
        self._probing = False

    @property
    def state(self) -> State:
        """The state now."""
        if self._state is State.OPEN and self._elapsed_s() >= self.recovery_s:
            self._change(State.HALF_OPEN)
        return self._state

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await `function()` within the deadline, unless the breaker is open.

        Raises:
            CircuitOpenError: the call was not made.
            TimeoutError: it was made, and took too long.
            Exception: whatever `function` raises.
        """
        era = self._admit()
        failed: bool | None = None
        try:
            async with asyncio.timeout(self.timeout_s):
                result = await function()
            failed = False
        except self._failures:
            failed = True
            raise
        finally:
            self._settle(era, failed)
        return result

    def _admit(self) -> int:
        """Let the call through and return its era, or refuse it."""
        if self.state is State.OPEN:
            self.stats.refused += 1
            raise CircuitOpenError(self.destination, self.recovery_s - self._elapsed_s())
        if self._state is State.HALF_OPEN:
            if self._probing:
                self.stats.refused += 1
                raise CircuitOpenError(self.destination, self.timeout_s)
            self._probing = True
            self.stats.probes += 1
        self.stats.calls += 1
        return self._era

    def _settle(self, era: int, failed: bool | None) -> None:
        """Take the verdict of a call; None is no verdict: it was cancelled, or failed by itself."""
        self.stats.failures += failed is True
        if era != self._era:
            return
        self._probing = False
        if failed is None:
            return
        self._recent.append(failed)
        if self._state is State.HALF_OPEN:
            self._change(State.OPEN if failed else State.CLOSED)
        elif sum(self._recent) >= self._threshold:
            self._change(State.OPEN)

    def _change(self, state: State) -> None:
        logger.warning("%s: %s, was %s", self.destination, state, self._state)
        self._state = state
        self._changed_at = self._clock()
        self._era += 1
        self._recent.clear()
        self._probing = False
        self.stats.opened += state is State.OPEN
        self._on_change(state)

    def _elapsed_s(self) -> float:
        return self._clock() - self._changed_at
