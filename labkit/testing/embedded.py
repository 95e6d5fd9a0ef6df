"""uvicorn as a guest: it shares a process and an event loop that belong to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import uvicorn

from labkit.testing.streams import Streams

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

TICK_S = 0.1  # uvicorn's own: it renews the date header and looks at its limits
SWEEP_TIMEOUT_S = 1.0
ACCEPT_TURNS = 3  # of the loop: accepted, transport made, connection_made called


async def stop_accepting(listeners: Iterable[socket.socket]) -> None:
    """Stop to accept connections, and let those be made that were accepted just now.

    An `asyncio.Server` that is closed between accepting a connection and making its transport
    drops the connection and forgets its socket.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows
        for listener in listeners:
            loop.remove_reader(listener)
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)


class ExitRequested(Exception):  # noqa: N818 - not an error: it carries uvicorn's sys.exit
    """uvicorn called `sys.exit`. A SystemExit inside a task would end the whole event loop."""


class EmbeddedServer(uvicorn.Server):
    """uvicorn that leaves signals alone, stops without polling, and leaves nothing behind.

    Args:
        config: Its `app` must be wrapped in `Streams`.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        assert isinstance(config.app, Streams)
        self._streams = config.app
        self._leaving = asyncio.Event()
        self.ready = asyncio.Event()

    @property
    def stop_timeout_s(self) -> float:
        """Seconds that a stop may take: uvicorn's grace period and as much for the lifespan."""
        return 2.0 * (self.config.timeout_graceful_shutdown or SWEEP_TIMEOUT_S)

    async def run_on(self, listener: socket.socket) -> None:
        """Serve on a bound socket until `leave` is called.

        Raises:
            ExitRequested: uvicorn could not start.
        """
        try:
            await self.serve(sockets=[listener])
        except SystemExit as error:
            raise ExitRequested from error
        finally:
            listener.close()

    def leave(self) -> None:
        """Ask the server to stop."""
        self.should_exit = True
        self._leaving.set()

    async def sweep(self, server_task: asyncio.Task[None]) -> None:
        """End what the graceful stop has left: stalled transports, handlers, the lifespan."""
        server_task.cancel()
        for listening in getattr(self, "servers", []):
            listening.close()
        await asyncio.sleep(0)  # a lifespan or a connection made just now makes itself known
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks: set[asyncio.Task[Any]] = {server_task, *self.server_state.tasks}
        if self._streams.lifespan is not None:
            tasks.add(self._streams.lifespan)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=SWEEP_TIMEOUT_S)
        await asyncio.sleep(0)  # an aborted transport reports connection_lost in the next turn

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing: the owner of the process keeps its signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but wake at once when asked to leave."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the open streams, then shut down as uvicorn does."""
        await stop_accepting(sockets or [])
        self._streams.end()
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for listening in self.servers:  # as uvicorn does, but it gives even nobody 0.1 s
            listening.close()
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()
