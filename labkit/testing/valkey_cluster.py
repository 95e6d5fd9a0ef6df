"""A real Valkey Cluster that a lesson or a test may break, one shard at a time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from labkit.testing.address import HOST, free_port
from labkit.testing.valkey import ValkeyError, ValkeyServer

POLL_S = 0.02
ASK_TIMEOUT_S = 2.0


class ValkeyCluster:
    """Primaries on 127.0.0.1 that share the 16,384 slots, without replicas.

    Use it as `with ValkeyCluster() as cluster:`. A server that is killed and started again has its
    slots, and none of its data.

    Args:
        shards: how many.
        start_timeout_s: Seconds until all agree that every slot is served.

    Attributes:
        servers: one for each shard.
    """

    def __init__(self, shards: int = 3, *, start_timeout_s: float = 20) -> None:
        self.servers: list[ValkeyServer] = []
        self._bus_ports = [free_port() for _ in range(shards)]
        self._shards = shards
        self._start_timeout_s = start_timeout_s
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """Address for a client that knows clusters, such as `redis+cluster://127.0.0.1:54321`."""
        return f"redis+cluster://{HOST}:{self.servers[0].port}"

    def start(self) -> Self:
        """Start, and return when every slot is served, in about two seconds.

        Raises:
            ValkeyError: Valkey is not installed, or the cluster did not come together.
        """
        self.servers.clear()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for bus_port in self._bus_ports:
                server = ValkeyServer(
                    cluster_enabled="yes", cluster_config_file=str(folder / f"{bus_port}.conf"),
                    cluster_port=str(bus_port), cluster_node_timeout="1000",
                )  # fmt: skip
                self.servers.append(stack.enter_context(server))
            self._meet()
            self._until(self.whole, "the shards did not find each other")
            self._stack = stack.pop_all()
        return self

    def stop(self) -> None:
        """Shut all of it down; a second call does nothing."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"ValkeyCluster({self._shards} shards)"

    def whole(self) -> bool:
        """Whether every shard says that every slot is served and knows all the others."""
        try:
            states = [ask(server, "CLUSTER INFO") for server in self.servers]
        except (RedisError, OSError):
            return False
        known = str(self._shards)
        return all((s["cluster_state"], s["cluster_known_nodes"]) == ("ok", known) for s in states)

    def repeated_bytes(self) -> int:
        """Count what the nodes have repeated to each other of what was published."""
        states = [ask(server, "CLUSTER INFO") for server in self.servers]
        return sum(int(state["cluster_stats_pubsub_bytes_sent"]) for state in states)

    def shard_of(self, name: str) -> ValkeyServer:
        """Return the server that has a key or a sharded channel."""
        for server in self.servers:
            if _port_of(name, server) == server.port:
                return server
        raise LookupError(f"nobody serves the slot of {name!r}")

    def move(self, name: str, to: ValkeyServer) -> None:
        """Give the slot of a key or channel to another shard, keys included (Valkey 9).

        Raises:
            ValkeyError: not all shards know of it in time.
        """
        slot = key_slot(name.encode())
        node = ask(to, "CLUSTER MYID")
        source = self.shard_of(name)
        ask(source, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node)
        self._until(
            lambda: all(_port_of(name, server) == to.port for server in self.servers),
            f"the slot of {name!r} did not move",
        )

    def _meet(self) -> None:
        first = self.servers[0]
        each = REDIS_CLUSTER_HASH_SLOTS // self._shards + 1
        for number, server in enumerate(self.servers):
            last = min((number + 1) * each, REDIS_CLUSTER_HASH_SLOTS) - 1
            ask(server, "CLUSTER ADDSLOTSRANGE", number * each, last)
            ask(first, "CLUSTER MEET", HOST, server.port, self._bus_ports[number])

    def _until(self, true: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while not true():
            if time.monotonic() > deadline:
                raise ValkeyError(f"{otherwise} within {self._start_timeout_s:g} s")
            time.sleep(POLL_S)


def _port_of(name: str, asked: ValkeyServer) -> int | None:
    """Who has the slot of a key or channel, as one shard knows it; none for a moment of a move."""
    slot = key_slot(name.encode())
    for first, last, (_, port, *_), *_ in ask(asked, "CLUSTER SLOTS"):
        if first <= slot <= last:
            return int(port)
    return None


def ask(server: ValkeyServer, command: str, *words: str | bytes | int) -> Any:  # noqa: ANN401
    """Send one command to one shard and return what it answers."""
    once = Retry(NoBackoff(), 0)
    with Redis(host=HOST, port=server.port, socket_timeout=ASK_TIMEOUT_S, retry=once) as client:
        return client.execute_command(command, *words)
