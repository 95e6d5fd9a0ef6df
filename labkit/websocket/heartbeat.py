"""Find the connections from which nothing comes any more, and end them.

First choice is the server's own ping: `uvicorn --ws-ping-interval 20 --ws-ping-timeout 20`
closes with 1011 when no pong comes back. This module adds what a protocol ping cannot give:
a sign of life that the client's program sees, so that it can notice a dead *server*, and a
deadline on silence. One task sweeps all connections; there is no timer for each.

It cannot see a client that reads nothing and still sends: that is what the write deadline of
the outbox is for.

Chapter 2.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Manager
from labkit.architecture.messages import encode

PING = encode("ping")


class Heartbeat:
    """One sweeper for every connection of a manager.

    Args:
        manager: whose connections are watched.
        interval_s: seconds of silence after which a connection is pinged, once each sweep.
        timeout_s: seconds of silence after which it is closed with 4000 (idle, reconnect).
        clock: monotonic seconds; the same as the sessions'.

    Raises:
        ValueError: the timeout leaves no room for a ping and its answer.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        interval_s: float = 25.0,
        timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < interval_s < timeout_s:
            raise ValueError(
                f"timeout_s is {timeout_s}: it must be more than interval_s, {interval_s}"
            )
        self._manager = manager
        self._clock = clock
        self.interval_s = interval_s
        self.timeout_s = timeout_s

    def sweep(self) -> None:
        """Ping those that were silent for an interval, close those that were silent too long."""
        now = self._clock()
        for connection in self._manager:
            silence_s = now - connection.last_seen
            if silence_s >= self.timeout_s:
                connection.close(CloseCode.IDLE, "nothing heard")
            elif silence_s >= self.interval_s:
                connection.send(PING)

    async def run(self) -> None:
        """Sweep once an interval, until cancelled."""
        while True:
            await anyio.sleep(self.interval_s)
            self.sweep()
