"""One request, stream or WebSocket, which can be ended from outside, cleanly.

An endpoint that never looks at its client, a WebSocket that only pushes or a plain
`StreamingResponse`, is never told that the server stops: uvicorn waits for it for ever
(https://github.com/Kludex/uvicorn/pull/2913). Here it is cancelled, and its client gets the
end that the protocol knows: 1012, the last chunk, or 503.

Chapter 4.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from labkit.architecture.codes import CloseCode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSE_TIMEOUT_S = 0.5
"""For the last words. A client that reads nothing gets none."""

_REFUSAL = b"the server restarts: try again later"


class Exchange:
    """One ASGI call: knows how far its response has come.

    Args:
        kind: `http` or `websocket`.
        send: the server's.
    """

    def __init__(self, kind: str, send: Send) -> None:
        self._kind = kind
        self._send = send
        self._scope = anyio.CancelScope()
        self._started = self._finished = False

    def cancel(self) -> None:
        """End it: `run` cancels the application and closes what is open."""
        self._scope.cancel()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Call the application until it returns or is cancelled."""
        with self._scope:
            await app(scope, receive, self.send)
        if self._scope.cancelled_caught:
            with anyio.move_on_after(CLOSE_TIMEOUT_S), suppress(OSError):  # it has just left
                await self._end()

    async def send(self, message: Message) -> None:
        """Pass a message on, and note what the client has seen."""
        kind = message["type"]
        if kind in {"http.response.start", "websocket.accept"}:
            self._started = True
        elif kind in {"websocket.close", "websocket.http.response.start"} or (
            kind == "http.response.body" and not message.get("more_body")
        ):
            self._finished = True
        await self._send(message)

    async def _end(self) -> None:
        """Complete what the application has left open."""
        if self._finished:
            return
        if not self._started:
            await self.refuse()
        elif self._kind == "http":
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            close = {"type": "websocket.close", "code": int(CloseCode.SERVICE_RESTART)}
            await self._send({**close, "reason": "restart"})

    async def refuse(self) -> None:
        """Answer 503 with `Retry-After`, and keep no connection alive."""
        prefix = "websocket." if self._kind == "websocket" else ""
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", str(len(_REFUSAL)).encode()),
            (b"retry-after", b"1"),
            (b"connection", b"close"),
        ]
        start = {"type": f"{prefix}http.response.start", "status": 503, "headers": headers}
        await self._send(start)
        await self._send({"type": f"{prefix}http.response.body", "body": _REFUSAL})
