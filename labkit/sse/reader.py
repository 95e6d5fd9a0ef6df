"""One supervised pub/sub connection to Valkey (or Redis) for a whole process.

The promises: the channels that are wanted are subscribed, as soon and as long as the server
is there; a channel counts as joined only when the server has confirmed it; a connection that
breaks or falls silent is replaced, with a wait that grows; nobody else touches the
connection, because two readers on one connection lose each other's answers.

Chapter 3.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from redis.asyncio.client import PubSub

logger = logging.getLogger(__name__)


def backoff_s(
    attempt: int,
    *,
    first_s: float = 0.1,
    cap_s: float = 10.0,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Give the wait before reconnection attempt 0, 1, 2, …, in seconds.

    Exponential, then capped, then jittered. With the cap after the jitter, all processes
    would come back in step once the cap is reached.
    """
    return uniform(0, min(cap_s, first_s * 2 ** min(attempt, 32)))


def patient_client(url: str, *, timeout_s: float, max_connections: int) -> Redis:
    """Make a client that repeats nothing, and whose reader may wait for ever.

    Args:
        url: `redis://host:port`.
        timeout_s: for connecting, and for a free connection. For a command it is the caller's.
        max_connections: one reads, the others send commands.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=None,  # the client's way to keep it, wait_for, can swallow a
        # cancellation before Python 3.12 (python/cpython#86296); the deadlines are ours
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),  # a repeated PUBLISH could arrive twice
        protocol=2,
    )
    return Redis.from_pool(pool)


class Source(Protocol):
    """Where a `PubSub` of redis-py comes from, or what does as one."""

    def pubsub(self) -> Any:  # noqa: ANN401 - redis-py's own have no types
        """Make one that is not connected yet."""


class Listener(Protocol):
    """Hears from the reader. Plain functions, called in the order of the wire."""

    def joined(self, channel: str) -> None:
        """From here on every message of the channel is heard."""

    def left(self, channel: str) -> None:
        """From here on the channel is not heard."""

    def received(self, channel: str, payload: bytes) -> None:
        """Take one message."""

    def ready(self) -> None:
        """All wanted channels are heard."""

    def lost(self) -> None:
        """Nothing is heard until the channels are joined again."""


class ChannelReader:
    """Keeps the wanted channels subscribed, and tells a listener what happens.

    Args:
        source: where the connection comes from: a client without retries and socket time-out.
        listener: who is told.
        timeout_s: for connecting, in seconds.
        health_s: ping this often; silence for as long again counts as an outage, in seconds.
        linger_s: keep a channel this long after nobody wants it any more, in seconds.
        backoff: seconds to wait before reconnection attempt 0, 1, 2, ….
    """

    def __init__(
        self,
        source: Source,
        listener: Listener,
        *,
        timeout_s: float = 5.0,
        health_s: float = 10.0,
        linger_s: float = 30.0,
        backoff: Callable[[int], float] = backoff_s,
    ) -> None:
        self._source = source
        self._listener = listener
        self._timeout_s = timeout_s
        self._health_s = health_s
        self._backoff = backoff
        self._linger_s = linger_s
        self._wanted: Counter[str] = Counter()
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._joined: set[str] = set()
        self._unconfirmed: set[str] = set()
        self._wanted_changed = asyncio.Event()
        self._all_confirmed = asyncio.Event()
        self._silent = self._closed = False
        self._failures = 0

    def want(self, channels: Iterable[str]) -> None:
        """Hold each channel once more; the first holder subscribes it."""
        for channel in channels:
            self._wanted[channel] += 1
            if channel in self._lingering:
                self._lingering.pop(channel).cancel()
        self._wanted_changed.set()

    def unwant(self, channels: Iterable[str]) -> None:
        """Give each channel back; `linger_s` after the last holder it is unsubscribed."""
        loop = asyncio.get_running_loop()
        for channel in channels:
            self._wanted[channel] -= 1
            if self._wanted[channel] == 0:
                timer = loop.call_later(self._linger_s, self._forget, channel)
                self._lingering[channel] = timer

    def _forget(self, channel: str) -> None:
        del self._lingering[channel], self._wanted[channel]
        self._wanted_changed.set()

    async def run(self) -> None:
        """Hold a connection until closed and cancelled, whatever becomes of it."""
        while True:
            try:
                await self._session()
            except* (RedisError, OSError) as outage:
                level = logging.DEBUG if self._failures else logging.WARNING
                logger.log(level, "no connection to the broker: %s", outage.exceptions[0])
            except* Exception:  # a defect of ours must not leave all streams deaf
                logger.exception("the reader failed; it starts anew")
            self._joined.clear()
            self._listener.lost()
            if self._closed:  # a group in which something failed swallows a cancellation
                return
            await asyncio.sleep(self._backoff(self._failures))
            self._failures += 1

    def close(self) -> None:
        """Stop the timers, and let the next failure end `run`; cancel that next."""
        self._closed = True
        for timer in self._lingering.values():
            timer.cancel()
        self._lingering.clear()

    async def _session(self) -> None:
        pubsub = self._source.pubsub()
        self._wanted_changed.set()
        try:
            async with asyncio.timeout(self._timeout_s):
                await pubsub.connect()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(pubsub))
                tasks.create_task(self._follow_wanted(pubsub))
                tasks.create_task(self._watch_health(pubsub))
        finally:
            await pubsub.aclose()

    async def _follow_wanted(self, pubsub: PubSub) -> None:
        ready = False
        while True:
            await self._wanted_changed.wait()
            self._wanted_changed.clear()
            leave = self._joined - self._wanted.keys()
            self._joined -= leave
            for channel in leave:
                self._listener.left(channel)
            await self._confirm(pubsub.unsubscribe, leave)
            await self._confirm(pubsub.subscribe, self._wanted.keys() - self._joined)
            if not ready:
                ready = True
                self._failures = 0
                self._listener.ready()

    async def _confirm(self, send: Callable[..., Awaitable[Any]], channels: set[str]) -> None:
        if not channels:
            return
        self._unconfirmed = set(channels)
        self._all_confirmed.clear()
        await send(*channels)
        await self._all_confirmed.wait()

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=None)
            self._silent = False
            if message is None or message["channel"] is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "message":
                self._listener.received(channel, message["data"])
                continue
            if message["type"] == "subscribe":
                self._joined.add(channel)
                self._listener.joined(channel)
            self._unconfirmed.discard(channel)
            if not self._unconfirmed:
                self._all_confirmed.set()

    async def _watch_health(self, pubsub: PubSub) -> None:
        while True:
            await asyncio.sleep(self._health_s)
            self._silent = True
            await pubsub.ping()
            await asyncio.sleep(self._health_s)
            if self._silent:
                raise RedisConnectionError(f"no answer to a ping for {self._health_s} s")
