"""A TCP proxy between client and server: it records every byte, and can break the line."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from labkit.testing.address import HOST, Addressed
from labkit.testing.embedded import stop_accepting
from labkit.testing.websocket_client import reset_on_close
from labkit.testing.wireframes import Chunk, WireFrame, decode

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CHUNK_BYTES = 64 * 1024
MAX_RECORD_BYTES = 8 * 1024 * 1024


class Link(Addressed):
    """Proxy on a port of its own in front of one server.

    Connect clients to `ws_url` or `url` instead of the server's. `raw` is what passed, chunk by
    chunk, and `frames()` the WebSocket frames in it.

    Args:
        target_url: Address of the server; only host and port count.
        max_record_bytes: Bytes to keep; what comes later still passes.
    """

    def __init__(self, target_url: str, *, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        target = urlsplit(target_url)
        self.raw: list[Chunk] = []
        self._target = target.hostname, target.port
        self._room_bytes = max_record_bytes
        self._server: asyncio.Server | None = None
        self.port = 0
        self._connections = 0
        self._lines: dict[_Line, asyncio.Task[None]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> Self:
        """Start to accept connections."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Cut every connection and stop; a second call does nothing."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(server.sockets)
        server.close()
        tasks = list(self._lines.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def frames(self) -> list[WireFrame]:
        """Return the WebSocket frames that passed, in the order in which they were complete."""
        return decode(self.raw)

    def stall(self) -> None:
        """Hold every byte, both ways: a network that is not there and has not said so."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let the held bytes go on."""
        self._flowing.set()

    def reset(self) -> None:
        """Break every connection with a TCP reset to both ends."""
        for line in self._lines:
            line.reset()

    def half_open(self) -> None:
        """Take every client away without telling the server: its socket stays open and silent."""
        for line in self._lines:
            line.drop_client()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"Link({'open' if self._server else 'stopped'})"

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._connections += 1
        line = _Line(self._connections, writer)
        self._lines[line] = asyncio.create_task(self._carry(line, reader), name="Link")

    async def _carry(self, line: _Line, reader: StreamReader) -> None:
        """Carry one connection until both directions have ended."""
        try:
            up_reader, line.to_server = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(line, "client", reader, line.to_server))
                directions.create_task(self._pump(line, "server", up_reader, line.to_client))
        except* OSError:
            pass  # one end is gone: so is the other
        finally:
            line.close()
            del self._lines[line]

    async def _pump(
        self, line: _Line, src: str, reader: StreamReader, writer: StreamWriter
    ) -> None:
        """Carry one direction until its end."""
        while data := await reader.read(CHUNK_BYTES):
            await self._flowing.wait()
            if len(data) <= self._room_bytes:
                self._room_bytes -= len(data)
                self.raw.append(Chunk(line.number, src, data))
            writer.write(data)
            await writer.drain()
        await line.end_of(src)
        with contextlib.suppress(OSError):
            writer.write_eof()


class _Line:
    """The two connections of one client: its own, and ours to the server."""

    def __init__(self, number: int, to_client: StreamWriter) -> None:
        self.number = number
        self.to_client = to_client
        self.to_server: StreamWriter | None = None
        self._client_dropped = False

    def reset(self) -> None:
        for writer in self._writers():
            reset_on_close(writer.get_extra_info("socket"))
            writer.transport.abort()

    def drop_client(self) -> None:
        self._client_dropped = True
        reset_on_close(self.to_client.get_extra_info("socket"))
        self.to_client.transport.abort()

    async def end_of(self, src: str) -> None:
        """Return when the end of a direction may be passed on: never, for a client we dropped."""
        if src == "client" and self._client_dropped:
            await asyncio.Event().wait()

    def close(self) -> None:
        for writer in self._writers():
            writer.transport.abort()

    def _writers(self) -> list[StreamWriter]:
        return [self.to_client] if self.to_server is None else [self.to_client, self.to_server]
