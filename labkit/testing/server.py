"""A real uvicorn server on the running event loop, for a test or for a notebook cell."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from labkit.testing.address import HOST, Addressed
from labkit.testing.embedded import EmbeddedServer, ExitRequested
from labkit.testing.logs import Log, capture, current_log, new_log
from labkit.testing.streams import Streams

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MIN_NOTSENT_LOWAT_BYTES = 64 * 1024
DEFAULTS: dict[str, Any] = {
    "log_config": None,  # it would print
    "access_log": False,
    "ws_max_size": 64 * 1024,  # bytes
    "ws_ping_interval": None,  # the same frames in every run
    "timeout_graceful_shutdown": 2,  # seconds
    "lifespan": "auto",
}


class StartupError(RuntimeError):
    """The application or its socket did not start; the message says which and why."""


class LiveServer(Addressed):
    """Serve an ASGI application on 127.0.0.1, on the event loop that is running.

    The port is ours before the server starts, signals stay with their owner, and nothing is
    printed: what uvicorn logs is in `log`. `stop` ends event streams cleanly, closes WebSockets
    with 1012 (service restart) and leaves no connection, task or socket behind.

    Args:
        app: The ASGI application.
        port: TCP port; 0 lets the system choose a free one.
        tcp_user_timeout_s: Seconds that sent bytes may stay unacknowledged before the system ends
            the connection (RFC 5482; Linux only). None leaves the system's default.
        notsent_lowat_bytes: Bytes that may wait unsent in the system's buffer before a connection
            counts as full (`TCP_NOTSENT_LOWAT`). At least 65536, or None for the system's default.
        start_timeout_s: Seconds that the application's start-up may take.
        options: Anything else `uvicorn.Config` takes.

    Raises:
        ValueError: `notsent_lowat_bytes` is too small.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: int = 0,
        tcp_user_timeout_s: float | None = 10,
        notsent_lowat_bytes: int | None = None,
        start_timeout_s: float = 10,
        **options: Any,  # noqa: ANN401 - typed by uvicorn.Config
    ) -> None:
        if notsent_lowat_bytes is not None and notsent_lowat_bytes < MIN_NOTSENT_LOWAT_BYTES:
            raise ValueError(
                f"notsent_lowat_bytes={notsent_lowat_bytes} makes the transport pause at every "
                f"write: use at least {MIN_NOTSENT_LOWAT_BYTES}, or None"
            )
        self.app = app
        self.port = port
        self.log: Log = new_log()
        self._tcp_user_timeout_s = tcp_user_timeout_s
        self._notsent_lowat_bytes = notsent_lowat_bytes
        self._start_timeout_s = start_timeout_s
        self._options = DEFAULTS | options
        self._server: EmbeddedServer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the server accepts connections."""
        return self._server is not None and self._server.started and not self._server.should_exit

    @property
    def connections(self) -> int:
        """Number of TCP connections that uvicorn still holds."""
        return len(self._server.server_state.connections) if self._server else 0

    async def start(self) -> Self:
        """Start, and return when connections are accepted.

        Raises:
            StartupError: The port is taken, or the application's lifespan failed or took too long.
            RuntimeError: The server runs already.
        """
        if self._task is not None:
            raise RuntimeError("this server runs already: stop it first, or make a second one")
        capture.attach(self.log)
        try:
            config = uvicorn.Config(Streams(self.app), **self._options)
            listener = self._listen()
        except BaseException:
            capture.detach(self.log)
            raise
        self.port = listener.getsockname()[1]
        self._server = EmbeddedServer(config)
        # An empty context: handlers inherit nothing of the cell or test that started the server,
        # so what they print lands in the cell that is running when they print it.
        context = contextvars.Context()
        context.run(current_log.set, self.log)
        self._task = asyncio.get_running_loop().create_task(
            self._server.run_on(listener), name="LiveServer", context=context
        )
        try:
            await self._await_start(self._server, self._task)
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Stop, within a deadline whatever clients and handlers do; a second call does nothing."""
        server, task = self._server, self._task
        if server is None or task is None:
            return
        if server.started:
            server.leave()
            await asyncio.wait({task}, timeout=server.stop_timeout_s)
        await server.sweep(task)
        self._task = None
        capture.detach(self.log)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"LiveServer({'running' if self.running else 'stopped'})"

    def _listen(self) -> socket.socket:
        # asyncio sets TCP_NODELAY only where the protocol is said to be TCP. Without it the second
        # of two small messages waits 40 ms for an acknowledgement.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._tcp_user_timeout_s is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout_ms = round(self._tcp_user_timeout_s * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        if self._notsent_lowat_bytes is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            lowat = self._notsent_lowat_bytes
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, lowat)
        try:
            listener.bind((HOST, self.port))
        except OSError as error:
            listener.close()
            raise StartupError(f"port {self.port} is not free: {error.strerror}") from error
        return listener

    async def _await_start(self, server: EmbeddedServer, task: asyncio.Task[None]) -> None:
        """Wait until the server has started or has failed to."""
        started = asyncio.ensure_future(server.ready.wait())
        try:
            await asyncio.wait(
                {started, task},
                timeout=self._start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            started.cancel()
        if server.started:
            return
        if not task.done():
            raise StartupError(
                f"the application did not finish its start-up in {self._start_timeout_s:g} s"
            )
        cause = task.exception()
        if cause is not None and not isinstance(cause, ExitRequested):
            raise cause
        raise StartupError(f"the application did not start: {self._last_words()}")

    def _last_words(self) -> str:
        """Return the line that names the failure: the last one of the last record but uvicorn's."""
        texts = [record.getMessage() for record in self.log if record.levelname == "ERROR"]
        reasons = [text for text in texts if not text.startswith("Application startup failed")]
        return reasons[-1].strip().splitlines()[-1] if reasons else "it gave no reason"
