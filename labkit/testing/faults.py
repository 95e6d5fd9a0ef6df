"""Peers that misbehave: one that stops reading, one that vanishes, one that talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from labkit.sse.format import Event, Parser
from labkit.testing.outcomes import Silence
from labkit.testing.raw import CHUNK_BYTES, RawWebSocket, open_socket
from labkit.testing.websocket_client import NAME_HEADER, reset_on_close

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from labkit.testing.outcomes import Closed

SMALL_BUFFER_BYTES = 4096  # the system doubles it and keeps half for itself


class StalledReader:
    """WebSocket client that completes the handshake and then reads nothing.

    Its receive buffer is small, so the TCP window soon closes and the server's bytes pile up on the
    server's side. To the server it looks like a phone that left the network. Make one with
    `connect`.
    """

    def __init__(self, raw: RawWebSocket) -> None:
        self.name = raw.name
        self._raw = raw

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str = "stalled",
        first_messages: Iterable[str | bytes] = (),
        timeout_s: float = 5.0,
    ) -> Self:
        """Connect, send `first_messages`, and stop reading.

        Raises:
            Rejected: The server answered with an HTTP response.
            Unreachable: Nobody listens there, or the handshake failed.
            Silence: The handshake got no answer in time.
        """
        raw = await RawWebSocket.connect(
            url, name=name, timeout_s=timeout_s, receive_buffer_bytes=SMALL_BUFFER_BYTES
        )
        stalled = cls(raw)
        for message in first_messages:
            await raw.send(message)
        return stalled

    @property
    def closed(self) -> Closed | None:
        """How the connection ended; None as long as `thaw` has not seen an end."""
        return self._raw.closed

    async def thaw(self, *, quiet_s: float = 0.5) -> list[str | bytes]:
        """Read again: return the messages until the end, or until nothing comes for `quiet_s`."""
        messages: list[str | bytes] = []
        with contextlib.suppress(Silence):
            while not self._raw.eof:
                messages += await self._raw.read(timeout_s=quiet_s)
        return messages

    def close(self) -> None:
        """Leave."""
        self._raw.reset()

    def __repr__(self) -> str:
        return f"StalledReader({self.name})"


class StalledStream:
    """Event-stream client that sends its request and then reads nothing.

    Make one with `connect`.
    """

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.name = name
        self._socket = sock

    @classmethod
    async def connect(cls, url: str, *, name: str = "stalled", timeout_s: float = 5.0) -> Self:
        """Connect, ask for the stream, and read nothing at all.

        Raises:
            Unreachable: Nobody listens there.
        """
        sock = await open_socket(
            url, name=name, timeout_s=timeout_s, receive_buffer_bytes=SMALL_BUFFER_BYTES
        )
        address = urlsplit(url)
        target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
        # HTTP/1.0, because its body is not chunked.
        head = f"GET {target} HTTP/1.0\r\nhost: {address.netloc}\r\n{NAME_HEADER}: {name}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(sock, head.encode())
        return cls(sock, name)

    async def thaw(self, *, quiet_s: float = 0.5) -> list[Event]:
        """Read again: return the events until the end, or until nothing comes for `quiet_s`."""
        received = bytearray()
        with contextlib.suppress(TimeoutError, ConnectionError):
            while data := await asyncio.wait_for(self._receive(), quiet_s):
                received += data
        _, _, body = bytes(received).partition(b"\r\n\r\n")
        return Parser().feed(body)

    def close(self) -> None:
        """Leave."""
        reset_on_close(self._socket)
        self._socket.close()

    def __repr__(self) -> str:
        return f"StalledStream({self.name})"

    async def _receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a server did about bytes it should not have got.

    Attributes:
        code: Code of its close frame; None when it sent none.
        reason: Reason in its close frame.
        eof: Whether it ended the TCP connection.
        messages: What it sent before.
    """

    code: int | None
    reason: str
    eof: bool
    messages: tuple[str | bytes, ...] = ()


async def raw_frames(
    url: str, data: bytes, *, name: str = "hostile", timeout_s: float = 2.0
) -> Reaction:
    """Send bytes as they are after a real handshake, and report what the server does.

    Build the bytes with `websockets.frames.Frame(...).serialize(mask=True)` and bend them.

    Args:
        url: Address such as `ws://127.0.0.1:8000/ws`.
        data: Bytes to send.
        name: What views call this client.
        timeout_s: Seconds of silence after which the server counts as not having minded.

    Raises:
        Rejected: The server answered the handshake with an HTTP response.
        Unreachable: Nobody listens there, or the handshake failed.
    """
    raw = await RawWebSocket.connect(url, name=name)
    messages: list[str | bytes] = []
    try:
        await raw.write(data)
        with contextlib.suppress(Silence):
            while not raw.eof:
                messages += await raw.read(timeout_s=timeout_s)
        frame = raw.close_frame
        code, reason = (frame.code, frame.reason) if frame else (None, "")
        return Reaction(code, reason, raw.eof, tuple(messages))
    finally:
        raw.reset()


class Abortable(Protocol):
    """A client that can vanish."""

    def abort(self) -> None:
        """Close the connection with a TCP reset."""


def reset(*clients: Abortable) -> None:
    """Make clients vanish: the server sees a TCP reset, no close frame and no end of stream."""
    for client in clients:
        client.abort()
