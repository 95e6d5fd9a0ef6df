"""Valkey Cluster: a topic, its keys and its channel are on one shard.

A cluster repeats a plain PUBLISH to every node, so more nodes carry no more messages. Its sharded
channels (Valkey; Redis 7.0 and later) stay on the shard of their slot: SPUBLISH there, SSUBSCRIBE
there. `Shards` gives room 3's reader one source of messages, whatever number of shards they are on.

The promises: a channel is heard from the shard that has its slot now; when any shard breaks, falls
silent or gives a slot away, `get_message` or `ping` raises, and the reader begins anew with fresh
routes. So a failing shard costs a topic of another one a reading up, and never an event.

Chapter 12. Slots and hash tags: the cluster specification of Valkey. The routes are redis-py's. Its
own `ClusterPubSub` asks one shard after the other, each with a time-out; here each has a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from labkit.sse.reader import patient_client

SCHEME = "redis+cluster://"
PONG = {"type": "pong", "channel": None, "data": b""}
AHEAD = 1000
"""Messages that wait for the reader; then the shards wait, and with them their connections."""


class Cluster(RedisCluster):
    """A client that repeats nothing, and whose errors are those of a single server's.

    Args:
        url: `redis+cluster://host:port` of any node, with `user:password@` where it asks.
        timeout_s: for connecting, in seconds. For a command it is the caller's.

    Raises:
        ValueError, TypeError, RedisClusterException: nobody can be reached by this address.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.address = urlsplit(url.replace(SCHEME, "redis://", 1))
        self.timeout_s = timeout_s
        options: dict[str, Any] = {**parse_url(self.address.geturl())}
        super().__init__(
            **options,
            socket_timeout=None, socket_connect_timeout=timeout_s, protocol=2,
            retry=Retry(NoBackoff(), 0),  # a repeated publication could arrive twice
        )  # fmt: skip

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Send a command to the node that it belongs to.

        Raises:
            RedisError: it failed, or there is no such node.
        """
        with _told_as_redis_error():
            return await super().execute_command(*args, **options)

    async def fresh_routes(self) -> None:
        """Ask the cluster again which node has which slots.

        Raises:
            RedisError: no node answers, or a slot is served by none.
        """
        with _told_as_redis_error():
            await self.initialize()
            await self.nodes_manager.initialize()

    def node_of(self, channel: str) -> str:
        """Name the node that has a channel, as `host:port`.

        Raises:
            RedisError: no node has its slot.
        """
        with _told_as_redis_error():
            node = self.get_node_from_key(channel)
        assert node is not None  # no replica was asked for
        return node.name

    def client_of(self, node: str) -> Redis:
        """Make a client for one node alone."""
        who, at, _ = self.address.netloc.rpartition("@")
        url = self.address._replace(netloc=f"{who}{at}{node}").geturl()
        return patient_client(url, timeout_s=self.timeout_s, max_connections=1)

    def pubsub(self, *_: object, **__: object) -> Shards:  # type: ignore[override]
        """Hear channels of all shards."""
        return Shards(self)


@contextmanager
def _told_as_redis_error() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:  # it is no RedisError
        raise RedisConnectionError(str(error)) from error


@dataclass(slots=True, eq=False)
class Shard:
    """One connection that hears. `silent`: it was pinged and has said nothing since."""

    client: Redis
    pubsub: PubSub
    task: asyncio.Task[None] | None = None
    silent: bool = False


class Shards:
    """What room 3's reader uses of a redis-py `PubSub`, over all shards.

    Args:
        cluster: knows which node has which channel.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._shards: dict[str, Shard] = {}
        self._of: dict[str, Shard] = {}
        self._messages: asyncio.Queue[dict[str, Any] | Exception] = asyncio.Queue(AHEAD)

    async def connect(self) -> None:
        """Learn the routes. A shard is connected with its first channel."""
        await self._cluster.fresh_routes()

    async def subscribe(self, *channels: str) -> None:
        """Ask for channels; each is confirmed by a message, as everywhere."""
        for channel in channels:  # one at a time: one command is about one slot
            self._of[channel] = shard = await self._shard(channel)
            await shard.pubsub.ssubscribe(channel)

    async def unsubscribe(self, *channels: str) -> None:
        """Give channels back."""
        for channel in channels:
            await self._of.pop(channel).pubsub.sunsubscribe(channel)

    async def get_message(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109
        """Wait for a message of any shard, in the words of a plain channel.

        Raises:
            RedisError: a shard is gone, or has given a channel away.
        """
        async with asyncio.timeout(timeout):
            message = await self._messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def ping(self) -> None:
        """Ping each shard.

        Raises:
            RedisError: one has said nothing since the ping before.
        """
        for name, shard in self._shards.items():
            if shard.silent:
                raise RedisConnectionError(f"no answer to a ping from shard {name}")
            shard.silent = True
            await shard.pubsub.ping()
        if not self._shards:
            await self._messages.put(PONG)  # nobody can be silent

    async def aclose(self) -> None:
        """Leave every shard."""
        tasks = [shard.task for shard in self._shards.values() if shard.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for shard in self._shards.values():
            await shard.pubsub.aclose()  # type: ignore[no-untyped-call]
            await shard.client.aclose()

    async def _shard(self, channel: str) -> Shard:
        name = self._cluster.node_of(channel)
        if name not in self._shards:
            client = self._cluster.client_of(name)
            self._shards[name] = shard = Shard(client, client.pubsub())
            async with asyncio.timeout(self._cluster.timeout_s):
                await shard.pubsub.connect()  # type: ignore[no-untyped-call]
            shard.task = asyncio.create_task(self._read(shard), name=f"shards: {name}")
        return self._shards[name]

    async def _read(self, shard: Shard) -> None:
        """Hand on what one shard says, until it fails: then that."""
        try:
            while True:
                message = await shard.pubsub.get_message(timeout=None)
                shard.silent = False
                if message is None:
                    continue
                told = message | {"type": message["type"].removeprefix("s")}
                if told["type"] == "unsubscribe" and told["channel"].decode() in self._of:
                    raise RedisConnectionError(f"{told['channel']!r} is on another shard now")  # noqa: TRY301
                await self._messages.put(told)
        except Exception as error:  # noqa: BLE001 - whoever waits for messages hears of it
            await self._messages.put(error)


def connect(url: str, *, timeout_s: float, max_connections: int) -> Redis | Cluster:
    """Make the client that an address asks for: `patient_client`, or one of a cluster.

    Args:
        url: `redis://host:port`, or `redis+cluster://host:port` of any node of a cluster.
        timeout_s: for connecting, in seconds.
        max_connections: to a single server. Of a cluster, redis-py allows 100 to each node.
    """
    if url.startswith(SCHEME):
        return Cluster(url, timeout_s=timeout_s)
    return patient_client(url, timeout_s=timeout_s, max_connections=max_connections)


def check_address(url: str) -> str:
    """Give an address back if a client can be made with it. Nobody is asked.

    Raises:
        ValueError: it has no such form. The message does not repeat it: it may have a password.
    """
    schemes = ("redis://", "rediss://", "unix://", SCHEME)
    if not url.startswith(schemes):
        raise ValueError(f"it must begin with {', '.join(schemes[:-1])} or {schemes[-1]}")
    try:
        client = connect(url, timeout_s=1, max_connections=1)
        if isinstance(client, Redis):
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisClusterException):
        raise ValueError(
            "it must be like redis://user:password@host:6379/0; a cluster has no /0, and after ? "
            "come options of redis-py alone"
        ) from None
    return url
