"""The same call again: for named errors of a dependency, a few times, within one deadline.

The promises: nothing is retried that was not named; the waits are capped first and jittered
after, so that a fleet does not come back in step; everything together, hanging calls included,
ends at the deadline; a cancellation passes at once; what comes out in the end is the
dependency's own error.

Retry at one layer only, or the attempts multiply. The call must be safe to repeat: it reads, or
it carries an idempotency key. A WebSocket is no dependency: it has no transient errors, it is
open or gone.

Chapter 6. The loop and its hooks are stamina's. Its own waits add the jitter before the cap, and
its own timeout looks at the clock between attempts only, so both are ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks
from starlette.websockets import WebSocketDisconnect

from labkit.sse.reader import backoff_s

T = TypeVar("T")

# Where structlog is installed and nobody has configured it, stamina would print every retry to
# stdout. A library logs through `logging`; an application that wants more sets its own hooks.
set_on_retry_hooks([LoggingOnRetryHook])


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A policy, for as many calls as you like.

    Attributes:
        on: the transient errors of the dependency, by name.
        attempts: calls at most, the first included.
        deadline_s: seconds for all attempts and the waits between them.
        backoff: seconds to wait before retry 0, 1, 2, ….

    Raises:
        ValueError: `on` is so wide that a bug or a dead socket would be retried, or a bound is
            not positive.
    """

    on: tuple[type[Exception], ...]
    attempts: int = 3
    deadline_s: float = 10.0
    backoff: Callable[[int], float] = backoff_s

    def __post_init__(self) -> None:
        for kind in self.on:
            if issubclass(WebSocketDisconnect, kind):
                raise ValueError(  # noqa: TRY004 - one error type for every field
                    f"on has {kind.__name__}: name the errors of a dependency; "
                    "a dead socket is not retried, its client comes back"
                )
        if not self.on or self.attempts < 1 or self.deadline_s <= 0:
            raise ValueError("on needs an error, attempts 1 or more, deadline_s more than 0")

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await `function()`, and again while it raises one of `on`.

        Raises:
            Exception: what `function` raised last, when attempts or time are used up.
            TimeoutError: the deadline came while a call was still running.
        """
        patience = _Patience(self)
        async with asyncio.timeout_at(patience.deadline):
            async for attempt in stamina.retry_context(
                on=patience, attempts=self.attempts, timeout=None
            ):
                with attempt:
                    return await function()
        raise AssertionError("stamina returns or raises")


class _Patience:
    """What stamina asks after each failure: wait so many seconds, or give up."""

    def __init__(self, policy: Retry) -> None:
        self._policy = policy
        self._clock = asyncio.get_running_loop().time
        self._failures = 0
        self.deadline = self._clock() + policy.deadline_s

    def __call__(self, error: Exception) -> float | bool:
        if not isinstance(error, self._policy.on):
            return False
        wait_s = self._policy.backoff(self._failures)
        self._failures += 1
        # A wait that would outlast the deadline would only hide the error behind a TimeoutError.
        return wait_s if self._clock() + wait_s < self.deadline else False
