"""One client of Valkey (or Redis) for a process: what waits, what is refused, what is retried.

The promises: as many commands at once as anybody likes share a few connections, and wait for one
instead of failing; each has a deadline, and what goes wrong is one typed error; pub/sub, which
keeps its connection for ever, has a client of its own and takes none from the others.

Chapter 7. redis-py's client *is* a pool: a pool of clients is a pool of pools. Make one in the
lifespan and close it there. Room 3's broker is built the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The store did not do what it was asked, in time or at all; the cause is chained."""


class Store:
    """Use it as `async with Store("redis://…") as store:`.

    Args:
        url: `redis://host:port`.
        max_connections: for commands. One more is made for each subscriber.
        timeout_s: for one command, the wait for a connection included.
        retries: after a lost connection, how often a command is sent again. A repeated PUBLISH
            or INCR may happen twice: give 0 where that matters.

    Raises:
        ValueError: the address cannot be read.
    """

    def __init__(
        self, url: str, *, max_connections: int = 10, timeout_s: float = 1.0, retries: int = 1
    ) -> None:
        self.timeout_s = timeout_s
        retry = Retry(ExponentialWithJitterBackoff(cap=0.1, base=0.01), retries)
        self._commands = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=max_connections,
                timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                socket_timeout=timeout_s,
                retry=retry,  # an own pool has none unless told
            )
        )
        self._subscribers = Redis.from_url(url, socket_connect_timeout=timeout_s)

    async def run(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        """Run one command, such as `lambda redis: redis.publish("news", text)`.

        Raises:
            StoreUnavailableError: it failed, or took longer than `timeout_s`.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await command(self._commands)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError(f"{type(error).__name__} from the store") from error

    async def publish(self, channel: str, payload: str | bytes) -> int:
        """Publish; returns how many subscribers the server handed it to.

        Raises:
            StoreUnavailableError: as `run`. It may have been published all the same.
        """
        received: int = await self.run(lambda redis: redis.publish(channel, payload))
        return received

    def subscriber(self) -> Any:  # noqa: ANN401 - redis.asyncio.client.PubSub, untyped
        """Make a pub/sub connection of its own. One reader a process is enough: see room 3."""
        return self._subscribers.pubsub()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._subscribers.aclose(close_connection_pool=True)
        await self._commands.aclose(close_connection_pool=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
