"""WebSocket client that never waits without a deadline and reports what really happened."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

from labkit.testing.outcomes import Closed, Disconnected, Rejected, Silence, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME_HEADER = "x-lab-client"  # so that a view of the wire can name both ends


class WebSocketClient:
    """WebSocket client of a lesson or a test. Make one with `connect`."""

    def __init__(self, connection: ClientConnection, name: str, timeout_s: float) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.connection = connection

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str = "client",
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        timeout_s: float = 5.0,
        **websockets_options: Any,  # noqa: ANN401 - typed by websockets
    ) -> Self:
        """Open a connection.

        Args:
            url: Address such as `ws://127.0.0.1:8000/ws`.
            name: What messages and views call this client.
            headers: Further headers of the handshake.
            subprotocols: Subprotocols to offer, best first.
            timeout_s: Deadline of every wait, in seconds.
            websockets_options: Anything else `websockets.asyncio.client.connect` takes. By default
                there is no proxy, no compression and no ping, so that the wire shows what was sent.

        Raises:
            Rejected: The server answered with an HTTP response.
            Unreachable: Nobody listens there, or the handshake failed.
            Silence: The handshake got no answer in time.
        """
        options: dict[str, Any] = {
            "proxy": None,
            "compression": None,
            "ping_interval": None,
            "max_queue": None,  # it always reads: one that does not is a fault, asked for by name
            "close_timeout": timeout_s,
        }
        try:
            connection = await connect(
                url,
                additional_headers={NAME_HEADER: name} | dict(headers or {}),
                subprotocols=subprotocols,  # type: ignore[arg-type]  # a NewType of str
                open_timeout=timeout_s,
                **(options | websockets_options),
            )
        except InvalidStatus as error:
            response = error.response
            names = {key.lower(): value for key, value in response.headers.raw_items()}
            raise Rejected(response.status_code, names, bytes(response.body or b"")) from error
        except TimeoutError as error:
            raise Silence(f"{name} got no answer to the handshake for {timeout_s:g} s") from error
        except (OSError, InvalidHandshake) as error:
            raise Unreachable(f"{name} could not connect: is the server running?") from error
        return cls(connection, name, timeout_s)

    @property
    def open(self) -> bool:
        """Whether neither side has begun to close."""
        return self.connection.state is State.OPEN

    @property
    def subprotocol(self) -> str | None:
        """Subprotocol that the server chose."""
        return self.connection.subprotocol

    async def send(self, message: object) -> None:
        """Send `str` as text, `bytes` as binary, anything else as JSON text.

        Raises:
            Disconnected: The connection is closed.
            Silence: The peer took nothing more in time.
        """
        if not isinstance(message, str | bytes):
            message = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.connection.send(message)
        except TimeoutError as error:
            raise Silence(f"{self.name} could not send for {self.timeout_s:g} s") from error
        except ConnectionClosed as error:
            raise Disconnected(self._obituary()) from error

    async def receive(self, *, timeout_s: float | None = None) -> str | bytes:
        """Return the next message: `str` for text, `bytes` for binary.

        Args:
            timeout_s: Deadline of this wait, instead of the client's own.

        Raises:
            Disconnected: The connection closed first.
            Silence: Nothing came in time.
        """
        deadline_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                return await self.connection.recv()
        except TimeoutError as error:
            raise Silence(f"{self.name} heard nothing for {deadline_s:g} s") from error
        except ConnectionClosed as error:
            raise Disconnected(self._obituary()) from error

    async def receive_json(self, *, timeout_s: float | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the next message, decoded from JSON. Raises what `receive` raises."""
        return json.loads(await self.receive(timeout_s=timeout_s))

    async def receive_many(self, count: int) -> list[Any]:
        """Return the next `count` messages, decoded from JSON. Raises what `receive` raises."""
        return [await self.receive_json() for _ in range(count)]

    async def receive_until(self, type_: str, *, timeout_s: float | None = None) -> list[Any]:
        """Return the messages up to the first one whose `type` is `type_`, that one last.

        `*before, pong = await ada.receive_until("pong")` also proves what did *not* come: the
        connection keeps its order, so whatever was sent before the pong is in `before`.

        Args:
            type_: The `type` field of a JSON message.
            timeout_s: Deadline of the whole wait, instead of the client's own.

        Raises:
            Disconnected: The connection closed first.
            Silence: It did not come in time; the message names what came instead.
        """
        deadline_s = self.timeout_s if timeout_s is None else timeout_s
        heard: list[Any] = []
        try:
            async with asyncio.timeout(deadline_s):
                while not heard or _type_of(heard[-1]) != type_:
                    heard.append(await self.receive_json(timeout_s=deadline_s + 1))
        except TimeoutError as error:
            got = ", ".join(map(_type_of, heard)) or "nothing"
            said = f"{self.name} waited {deadline_s:g} s for {type_!r}, and heard {got}"
            raise Silence(said) from error
        return heard

    async def closed(self) -> Closed:
        """Wait until the connection is closed, dropping further messages.

        Raises:
            Silence: It stayed open.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                async for _ in self.connection:
                    pass
                await self.connection.wait_closed()
        except TimeoutError as error:
            raise Silence(f"{self.name} was not closed for {self.timeout_s:g} s") from error
        except ConnectionClosed:
            pass
        return self._closed()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a closing handshake, or without one when the peer does not answer in time."""
        await self.connection.close(code, reason)

    def abort(self) -> None:
        """Vanish: the peer sees a TCP reset and no close frame."""
        reset_on_close(self.connection.transport.get_extra_info("socket"))
        self.connection.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"WebSocketClient({self.name}, {self.connection.state.name.lower()})"

    def _closed(self) -> Closed:
        return Closed(int(self.connection.close_code or 1006), self.connection.close_reason or "")

    def _obituary(self) -> str:
        closed = self._closed()
        return f"{self.name} was closed: {closed.code}{' ' if closed.reason else ''}{closed.reason}"


def _type_of(message: object) -> str:
    return str(message.get("type", "?")) if isinstance(message, dict) else "?"


def reset_on_close(sock: socket.socket) -> None:
    """Make closing `sock` send RST instead of FIN (`SO_LINGER` with zero seconds)."""
    if sock.fileno() >= 0:  # closing twice is closing once
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
