"""A WebSocket over a bare socket: nothing is read, written or answered unless asked.

websockets' sans-I/O protocol does the handshake and the framing, so that only the faults are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from labkit.testing.outcomes import Closed, Rejected, Silence, Unreachable
from labkit.testing.websocket_client import NAME_HEADER, reset_on_close

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHUNK_BYTES = 64 * 1024


async def open_socket(
    url: str, *, name: str, timeout_s: float, receive_buffer_bytes: int | None = None
) -> socket.socket:
    """Connect a non-blocking TCP socket to the host and port of `url`.

    Args:
        url: Address with a port.
        name: What messages call this end.
        timeout_s: Deadline, in seconds.
        receive_buffer_bytes: Size of the receive buffer. It must be small before the connection is
            made, because the window is agreed on then. None leaves the system's default.

    Raises:
        Unreachable: Nobody listens there, or the connection took too long.
    """
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    except OSError as error:  # a TimeoutError is one too
        sock.close()
        raise Unreachable(f"{name} could not connect: is the server running?") from error
    return sock


class RawWebSocket:
    """WebSocket client end that does only what it is told. Make one with `connect`."""

    def __init__(
        self,
        sock: socket.socket,
        url: str,
        name: str,
        timeout_s: float,
        subprotocols: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.eof = False
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(
            parse_uri(url),
            max_size=None,
            subprotocols=subprotocols,  # type: ignore[arg-type]  # a NewType of str
        )
        self._fragments = bytearray()
        self._is_text = True

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str = "raw",
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        timeout_s: float = 5.0,
        receive_buffer_bytes: int | None = None,
    ) -> Self:
        """Open a connection with a real handshake.

        Raises:
            Rejected: The server answered with an HTTP response.
            Unreachable: Nobody listens there, or the handshake failed.
            Silence: The handshake got no answer in time.
        """
        sock = await open_socket(
            url, name=name, timeout_s=timeout_s, receive_buffer_bytes=receive_buffer_bytes
        )
        raw = cls(sock, url, name, timeout_s, subprotocols)
        try:
            await raw._shake_hands({NAME_HEADER: name} | dict(headers or {}))
        except BaseException:
            raw.close()
            raise
        return raw

    @property
    def close_frame(self) -> Closed | None:
        """Code and reason of the peer's close frame; None while none was read."""
        frame = self._protocol.close_rcvd
        return None if frame is None else Closed(int(frame.code), frame.reason)

    @property
    def closed(self) -> Closed | None:
        """How the connection ended; None while neither a close frame nor the end was read."""
        return self.close_frame or (Closed(1006) if self.eof else None)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are; a connection that the peer has ended takes them in vain.

        Raises:
            Silence: The peer took no more in time.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._loop.sock_sendall(self._socket, data)
        except TimeoutError as error:
            raise Silence(f"{self.name} could not send for {self.timeout_s:g} s") from error
        except ConnectionError:
            pass  # the next read tells

    async def send(self, message: str | bytes) -> None:
        """Send one message in one masked frame."""
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        data = message.encode() if isinstance(message, str) else message
        await self.write(Frame(opcode, data).serialize(mask=True))

    async def read(self, *, timeout_s: float | None = None) -> list[str | bytes]:
        """Read once and return the messages that this completed; `eof` tells the end.

        Raises:
            Silence: Nothing came in time.
        """
        await self._receive(timeout_s)
        return self._messages()

    def close(self) -> None:
        """Close the socket: no close frame, a TCP FIN."""
        self._socket.close()

    def reset(self) -> None:
        """Close the socket: no close frame, a TCP reset."""
        reset_on_close(self._socket)
        self._socket.close()

    async def _shake_hands(self, headers: Mapping[str, str]) -> None:
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        await self.write(b"".join(self._protocol.data_to_send()))
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            await self._receive()
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            names = {key.lower(): value for key, value in error.response.headers.raw_items()}
            body = bytes(error.response.body or b"")
            raise Rejected(error.response.status_code, names, body) from error
        if error is not None:
            raise Unreachable(f"{self.name} could not connect: {error}") from error

    async def _receive(self, timeout_s: float | None = None) -> None:
        """Read once into the protocol, and send what the protocol answers by itself."""
        deadline_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                data = await self._loop.sock_recv(self._socket, CHUNK_BYTES)
        except TimeoutError as error:
            raise Silence(f"{self.name} heard nothing for {deadline_s:g} s") from error
        except ConnectionError:  # a reset is an end as well
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self.eof = True
            self._protocol.receive_eof()
        answer = b"".join(self._protocol.data_to_send())
        with contextlib.suppress(Silence):
            await self.write(answer)

    def _messages(self) -> list[str | bytes]:
        messages: list[str | bytes] = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame) or event.opcode >= Opcode.CLOSE:
                continue
            if event.opcode is not Opcode.CONT:
                self._is_text = event.opcode is Opcode.TEXT
            self._fragments += event.data
            if event.fin:
                data, self._fragments = bytes(self._fragments), bytearray()
                messages.append(data.decode(errors="replace") if self._is_text else data)
        return messages
