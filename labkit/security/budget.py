"""What one user, or one address, may do at all workers together.

A connection's own bucket starts full, so whoever reconnects starts anew, and four workers are
four buckets. This budget is counted in Valkey (or Redis) for all of them, by the package
`limits`. What is done while the store is down is a decision, and it has no default.

Chapter 8. For the dear things: handshakes, logins, messages to many. Each question is a round
trip; the bucket in `rate` needs none and goes on working when the store does not.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Any, Self
from urllib.parse import quote

from limits import RateLimitItem, parse
from limits.aio.storage import RedisClusterStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException

logger = logging.getLogger(__name__)


class WhenDown(Enum):
    """What happens while nobody can count."""

    OPEN = "open"
    """Let it through: chat goes on, each connection's own bucket still holds."""
    CLOSED = "closed"
    """Refuse it: nobody guesses passwords during an outage."""


class Budget:
    """A count in a sliding window, shared by all who use the same store and name.

    Use it as `async with Budget("redis://…", "100/minute", …) as budget:`.

    Args:
        url: the store, `redis://host:port`, or `redis+cluster://host:port` of a cluster.
        allowed: how much, in the form of `limits`: `"100/minute"`, `"5 per 2 seconds"`.
        name: of this budget: what is spent here is not spent elsewhere.
        when_down: what is done while the store does not answer.
        timeout_s: for one question.
        max_connections: to the store, or to each node of a cluster; further questions wait
            for one, within `timeout_s`, or of a cluster count as unanswered.

    Raises:
        ValueError: `allowed` cannot be read.

    Attributes:
        unanswered: how many questions the store did not answer in time.
    """

    def __init__(
        self,
        url: str,
        allowed: str,
        *,
        name: str,
        when_down: WhenDown,
        timeout_s: float = 0.5,
        max_connections: int = 8,
    ) -> None:
        try:
            self._item: RateLimitItem = parse(allowed)
        except ValueError:
            raise ValueError(f"allowed is {allowed!r}: write it as '100/minute'") from None
        storage, self._connections = _store(url, timeout_s, max_connections)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._name = name
        self._when_down = when_down
        self._timeout_s = timeout_s
        self._down = False
        self.unanswered = 0

    async def spend(self, who: str, cost: int = 1) -> bool:
        """Ask whether `who` may, and count it if so.

        Args:
            who: `user:ada` or `address:192.0.2.7`: as the server knows them, not as they say.
            cost: how much of the budget it takes.

        Returns:
            False when the budget is spent, or when nobody can count and `when_down` is CLOSED.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                allowed = await self._limiter.hit(
                    self._item, self._name, quote(who, safe=""), cost=cost
                )
        except (StorageError, RedisClusterException, TimeoutError, OSError) as error:
            self._tell(error)
            return self._when_down is WhenDown.OPEN
        self._down = False
        return allowed

    def _tell(self, error: Exception) -> None:
        """Count every unanswered question, and log only the first of an outage."""
        self.unanswered += 1
        if not self._down:
            self._down = True
            cause = type(error.__cause__ or error).__name__
            logger.error("budget %s: no store (%s), %s", self._name, cause, self._when_down.value)

    async def aclose(self) -> None:
        """Close the connections to the store."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _store(
    url: str, timeout_s: float, max_connections: int
) -> tuple[RedisStorage, BlockingConnectionPool | RedisCluster]:
    """Make the store that an address asks for, and name what is to be closed in the end."""
    options: dict[str, Any] = {
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 1),  # for a connection that had died unnoticed
        "max_connections": max_connections,
    }
    shared: dict[str, Any] = {
        "implementation": "redispy", "wrap_exceptions": True, "key_prefix": "budget",
    }  # fmt: skip
    if url.startswith("redis+cluster://"):
        cluster = RedisClusterStorage(f"async+{url}", **shared, **options)
        return cluster, cluster.bridge.get_connection()  # type: ignore[attr-defined]  # is there
    pool = BlockingConnectionPool.from_url(url, timeout=timeout_s, **options)
    shared["connection_pool"] = pool  # documented, not typed
    return RedisStorage(f"async+{url}", **shared), pool
