"""One connection, as seen from outside: what it said, and how it ended.

Metrics and log lines are about the same thing, so both hold a `Visit`. It runs a session and
changes nothing in it but what a session offers: its id, its handlers, its greeting.

Chapter 10.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.websockets import WebSocketDisconnect

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection, Ending
from labkit.websocket.session import Session

P = TypeVar("P", str, bytes)
OnMessage = Callable[[str | bytes, int], None]

CANCELLED = Ending(CloseCode.SERVICE_RESTART, "cancelled", "server")


class Visit:
    """What is known of one connection. Made by `Metrics.session` or by `told`.

    Args:
        on_message: told each message that came in, and its size in bytes, before its handler.

    Attributes:
        id: made here, by the server; the connection of a session has the same.
        connection: the session's, as soon as it is open.
        ending: how it ended. `run` sets it; an endpoint without a session sets it itself.
        received, received_bytes: messages from the client.
    """

    def __init__(self, on_message: OnMessage | None = None) -> None:
        self.id = secrets.token_hex(8)
        self.connection: Connection | None = None
        self.ending: Ending | None = None
        self.received = self.received_bytes = 0
        self._on_message = on_message

    @property
    def sent(self) -> int:
        """How many messages were handed to the transport."""
        return self.connection.outbox.sent if self.connection else 0

    def hear(self, payload: str | bytes) -> None:
        """Note a message from the client. `run` does it for a session."""
        size = len(payload if isinstance(payload, bytes) else payload.encode())
        self.received += 1
        self.received_bytes += size
        if self._on_message is not None:
            self._on_message(payload, size)

    async def run(self, session: Session) -> Ending:
        """Run a session that has not begun, and watch it. Returns why it ended."""
        greet = session.on_open

        def on_open(connection: Connection) -> None:
            self.connection = connection
            if greet is not None:
                greet(connection)

        session.log_id = self.id
        session.on_open = on_open
        session.on_text = self._hearing(session.on_text)
        if session.on_bytes is not None:
            session.on_bytes = self._hearing(session.on_bytes)
        self.ending = await session.run()
        return self.ending

    def ended(self, error: BaseException | None) -> Ending:
        """Say how it ended, given what the endpoint raised.

        The connection knows best; then whoever set `ending`; then the exception.
        """
        if self.connection is not None and self.connection.ending is not None:
            return self.connection.ending
        if self.ending is not None:
            return self.ending
        if isinstance(error, asyncio.CancelledError):
            return CANCELLED
        if isinstance(error, WebSocketDisconnect):
            return Ending(error.code, error.reason or "", "peer")
        if error is not None:
            return Ending(CloseCode.INTERNAL_ERROR, "server error", "server")
        return Ending(CloseCode.NORMAL, "", "server")

    def _hearing(
        self, handle: Callable[[Connection, P], Awaitable[None]]
    ) -> Callable[[Connection, P], Awaitable[None]]:
        def hearing(connection: Connection, payload: P) -> Awaitable[None]:
            self.hear(payload)
            return handle(connection, payload)

        return hearing
