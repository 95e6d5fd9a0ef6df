"""One WebSocket, from accept to goodbye: the only code that touches the socket.

The promises:
    - It never stops reading, whatever a handler does: pings are answered and a disconnect is
      noticed at once. Messages wait for their handler in a bounded inbox.
    - Every ending is a close frame with a code, as long as the peer can take one; a fault of
      ours is logged with its traceback and closes with 1011.
    - Whatever ends it, the registry forgets the connection and no task is left.

Chapter 2.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.codes import CloseCode
from labkit.architecture.inline import SEND
from labkit.architecture.manager import Connection, Ending, Manager
from labkit.architecture.messages import Outgoing
from labkit.architecture.outbox import Outbox
from labkit.websocket.binary import Gone, payload_of

logger = logging.getLogger(__name__)

P = TypeVar("P", str, bytes)
OnMessage = Callable[[Connection, P], Awaitable[None]]

ASGISend = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]

WRITER = "labkit.writer"
"""Extension of the ASGI scope by which a server offers a `Writer` (chapter 7 has one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may cost.

    Attributes:
        overflow: what happens when a slow reader's outbox is full.
        outbox_items, outbox_bytes: what may wait to be sent.
        inbox_items, inbox_bytes: what may wait to be handled; more closes with 1008.
        write_timeout_s: seconds for one write, then the reader counts as stalled (1013).
        close_timeout_s: seconds for what is still to be sent, and the close frame.
    """

    overflow: Overflow = Overflow.DISCONNECT
    outbox_items: int = 256
    outbox_bytes: int = 1 << 20
    inbox_items: int = 64
    inbox_bytes: int = 1 << 20
    write_timeout_s: float = 5.0
    close_timeout_s: float = 2.0


@dataclass(eq=False, kw_only=True)
class Session:
    """The life of one WebSocket; `await session.run()` returns why it ended.

    Attributes:
        websocket: as the framework hands it to the endpoint; accepted by `run` unless the
            endpoint has done so.
        manager: knows the connection from accept to the end.
        on_text: called with each text message, one after the other; a `Router` is one.
        on_bytes: the same for binary messages; without it they are refused with 1003.
        overtakes: shown each message before it waits for its turn; True takes it. For what a
            running handler waits for (chapter 9). A plain function: reading waits for it.
        on_open: called once, before the first message: a greeting, first subscriptions.
        user: who it is, as authentication says.
        log_id: the id of its connection, if somebody has logged about it before.
        limits: what the connection may cost.
        clock: monotonic seconds, for `Connection.last_seen`.
    """

    websocket: WebSocket
    manager: Manager
    on_text: OnMessage[str]
    on_bytes: OnMessage[bytes] | None = None
    overtakes: Callable[[Connection, str | bytes], bool] | None = None
    on_open: Callable[[Connection], None] | None = None
    user: str | None = None
    log_id: str | None = None
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._inbox = Backlog[str | bytes](
            max_items=self.limits.inbox_items, max_bytes=self.limits.inbox_bytes
        )
        self._working = False
        self._conversation = anyio.create_task_group()

    async def run(self) -> Ending:
        """Accept, converse, say goodbye."""
        if self.websocket.application_state is WebSocketState.CONNECTING:
            await self.websocket.accept()
        async with anyio.create_task_group() as self._writing:
            connection = self._connect()
            try:
                async with self._conversation:
                    if self.on_open is not None:
                        self.on_open(connection)
                    await self._read(connection)
            except Exception:
                logger.exception("connection %s failed", connection.id)
                connection.close(CloseCode.INTERNAL_ERROR, "server error")
            finally:
                self.manager.remove(connection)
            ending = connection.ending or Ending(CloseCode.ABNORMAL, "", "server")
            await self._goodbye(connection, ending)
            self._writing.cancel_scope.cancel()
        return ending

    def _connect(self) -> Connection:
        scope = self.websocket.scope
        self._way_out: ASGISend = scope.get(SEND, self.websocket.send)
        backlog = Backlog[Outgoing](
            max_items=self.limits.outbox_items,
            max_bytes=self.limits.outbox_bytes,
            overflow=self.limits.overflow,
        )
        outbox = Outbox(
            self._send,
            spawn=self._writing.start_soon,
            on_fail=lambda code, reason: connection.close(code, reason),  # noqa: PLW0108 - made below
            backlog=backlog,
            write_timeout_s=self.limits.write_timeout_s,
            writer=scope.get("extensions", {}).get(WRITER),
        )
        connection = Connection(
            outbox,
            on_close=self._conversation.cancel_scope.cancel,
            user=self.user,
            log_id=self.log_id,
            clock=self.clock,
        )
        self.manager.add(connection)
        return connection

    def _send(self, message: Outgoing) -> Coroutine[Any, Any, None]:
        key = "text" if isinstance(message.payload, str) else "bytes"
        return self._way_out({"type": "websocket.send", key: message.payload})

    async def _read(self, connection: Connection) -> None:
        """Take in every message at once, so that the transport is always being read."""
        while True:
            payload = payload_of(await self.websocket.receive())
            if isinstance(payload, Gone):
                connection.close(payload.code, payload.reason, by="peer")
                return
            connection.heard()
            if isinstance(payload, bytes) and self.on_bytes is None:
                connection.close(CloseCode.UNSUPPORTED_DATA, "text messages only")
            elif self.overtakes is not None and self.overtakes(connection, payload):
                continue
            elif not self._inbox.put(payload, len(payload)):
                connection.close(CloseCode.POLICY_VIOLATION, "too many messages at once")
            elif not self._working:
                self._working = True
                self._conversation.start_soon(self._handle, connection)

    async def _handle(self, connection: Connection) -> None:
        """Call the handler for each message in turn; there is no task while there is none."""
        while self._inbox:
            payload = self._inbox.pop()
            if isinstance(payload, str):
                await self.on_text(connection, payload)
            elif self.on_bytes is not None:
                await self.on_bytes(connection, payload)
        self._working = False

    async def _goodbye(self, connection: Connection, ending: Ending) -> None:
        """Send what is still to be sent, then the close frame, within one deadline."""
        with anyio.move_on_after(self.limits.close_timeout_s):
            if ending.by == "server" and ending.code != CloseCode.ABNORMAL:
                await connection.outbox.join()
                with suppress(WebSocketDisconnect, RuntimeError):  # it left while we were closing
                    await self.websocket.close(ending.code, ending.reason)
        connection.outbox.close()
