"""How much one connection may say, decided before any of it is parsed.

The promises: in any span of t seconds a connection is heard for at most `burst + per_second * t`
tokens; turning the wall clock changes nothing; being refused costs the server no parsing and,
after one warning, no answer; who does not stop is closed with 1008; what is remembered ends
with the connection.

Chapter 8. What a *user* may do over many connections and many workers is in `budget`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection
from labkit.architecture.messages import Outgoing, encode

P = TypeVar("P", str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one connection may say.

    Attributes:
        per_second: tokens that come back each second.
        burst: tokens it has at first, and at most.
        bytes_per_token: a message costs one token, and one more for each so many bytes.
        max_refused: refusals since the bucket was last full; then 1008. Being heard now and then
            in between changes nothing: only a pause does.

    Raises:
        ValueError: a value is not positive, or no message would ever fit; it names the field.
    """

    per_second: float = 10.0
    burst: float = 20.0
    bytes_per_token: int = 4096
    max_refused: int = 100

    def __post_init__(self) -> None:
        for name in ("per_second", "bytes_per_token", "max_refused"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0")
        if self.burst < 1:
            raise ValueError(f"burst is {self.burst}: one message costs 1 or more")


class TokenBucket:
    """A bucket that fills by itself, up to the brim.

    Args:
        per_second: how fast.
        burst: the brim; it begins full.
        clock: monotonic seconds. A clock that is set, such as the time of day, locks people
            out when it goes back and lets them through when it goes forward.
    """

    __slots__ = ("_at", "_clock", "_tokens", "burst", "per_second")

    def __init__(
        self, *, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, tokens: float = 1.0) -> bool:
        """Take tokens out, all or none."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if tokens > self._tokens:
            return False
        self._tokens -= tokens
        return True

    @property
    def full(self) -> bool:
        """Whether nothing was taken for so long that all of it is back."""
        return self.wait_s(self.burst) == 0

    def wait_s(self, tokens: float = 1.0) -> float:
        """Say in how many seconds `take` may succeed; infinite when it never will."""
        if tokens > self.burst:
            return float("inf")
        return max(0.0, (tokens - self._tokens) / self.per_second - (self._clock() - self._at))


class Throttle(Generic[P]):
    """One connection's door: make one for each, and give it to the session as `on_text`.

    Args:
        handler: what hears the messages that come through: a `Router`.
        rate: how many do.
        clock: monotonic seconds.

    Attributes:
        refused: how many messages did not come through.
    """

    def __init__(
        self,
        handler: Callable[[Connection, P], Awaitable[None]],
        rate: Rate | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler: Callable[[Connection, P], Awaitable[None]] = handler
        self._rate = rate or Rate()
        self._bucket = TokenBucket(
            per_second=self._rate.per_second, burst=self._rate.burst, clock=clock
        )
        self._since_full = 0
        self.refused = 0

    async def __call__(self, connection: Connection, payload: P) -> None:
        """Hand the message on, or refuse it: once aloud, then in silence, then for good."""
        cost = 1 + _size(payload) / self._rate.bytes_per_token
        if self._bucket.full:
            self._since_full = 0
        if self._bucket.take(cost):
            await self._handler(connection, payload)
            return
        self.refused += 1
        self._since_full += 1
        if self._since_full == 1:
            connection.send(_warning(self._bucket.wait_s(cost)))
        if self._since_full >= self._rate.max_refused:
            connection.close(CloseCode.POLICY_VIOLATION, "too many messages")


def _size(payload: str | bytes) -> int:
    """Return the bytes of a message; most texts are ASCII, and need not be encoded for it."""
    if isinstance(payload, bytes) or payload.isascii():
        return len(payload)
    return len(payload.encode())


def _warning(wait_s: float) -> Outgoing:
    if math.isinf(wait_s):
        detail = "the message is larger than what may be said at once"
        return encode("error", code="too_large", detail=detail)
    detail = "too many messages: what you send before then is not heard"
    return encode("error", code="rate_limited", detail=detail, retry_after_ms=round(1000 * wait_s))
