"""Drain on the signal: before uvicorn closes anything, and before any lifespan ends.

uvicorn's own order is: listeners, then every WebSocket with a bare 1012, then it waits for
streams and handlers, without a limit by default, and at last the lifespan's shutdown. A
goodbye said in the lifespan finds nobody. Two ways to be earlier:

    `DrainingServer`    one process that you start yourself. Cuts a stalled client.
    `drain_on_signal`   in the lifespan's startup, for `uvicorn` and `uvicorn --workers N`, whose
                        processes use uvicorn's own server class. Give them
                        `--timeout-graceful-shutdown` above `DrainSettings.total_s`: a stalled
                        client holds its process that long, since no application can cut it.

The same signal a second time ends it at once.

Chapter 4. Main thread only, as all signal handlers of Python are.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, TypeAlias

import anyio
import uvicorn
from sse_starlette.sse import AppStatus

from labkit.connections.drain import Drain

Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None

SIGNALS = (signal.SIGTERM, signal.SIGINT)
POLL_S = 0.02  # uvicorn has no event for a connection that has gone


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which drains before it shuts down.

    Args:
        config: uvicorn's. A missing `timeout_graceful_shutdown` becomes the drain's `flush_s`,
            because none at all means for ever.
        drain: what it says and does.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None
        if config.timeout_graceful_shutdown is None:
            config.timeout_graceful_shutdown = max(1, round(drain.settings.flush_s))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and keep sse-starlette from ending its streams too early."""
        self._loop = asyncio.get_running_loop()
        AppStatus.enable_automatic_graceful_drain = False
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal; at the same one again, at once."""
        again = sig in self._captured_signals
        super().handle_exit(sig, frame)
        if again and self._loop is not None:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._drain.hurry)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, let the last bytes leave, cut what is left, then shut down as uvicorn does."""
        await self._drain.run(lambda: self._stop_accepting(sockets))
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        with anyio.move_on_after(0 if self.force_exit else self._drain.settings.flush_s):
            while self.server_state.connections:  # noqa: ASYNC110 - see POLL_S
                await asyncio.sleep(POLL_S)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # an aborted transport reports it in the next turn
        await super().shutdown(sockets)

    def _stop_accepting(self, sockets: list[socket.socket] | None) -> None:
        AppStatus.enable_automatic_graceful_drain = True  # for streams that no broker knows
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()


@asynccontextmanager
async def drain_on_signal(drain: Drain) -> AsyncIterator[None]:
    """Drain when the process is told to end, then hand the signal to whoever had it before.

    For the lifespan of an application that a stock uvicorn serves: uvicorn installs its own
    handlers before the lifespan begins.
    """
    loop = asyncio.get_running_loop()
    seen: set[int] = set()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number in seen:  # the default action ends the process now
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not seen:
            loop.call_soon_threadsafe(begin, number)
        seen.add(number)

    def begin(number: int) -> None:
        tasks.create_task(drain.run(lambda: hand_over(number)))

    def hand_over(number: int) -> None:
        handler = before[number]
        if callable(handler):
            handler(number, None)

    before: dict[int, Handler] = {each: signal.signal(each, on_signal) for each in SIGNALS}
    try:
        async with asyncio.TaskGroup() as tasks:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
