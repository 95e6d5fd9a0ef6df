"""End the open HTTP streams of one server without breaking them.

uvicorn waits at shutdown for every open response, and leaves it to the application to end its own
streams (https://github.com/Kludex/uvicorn/pull/2913). This wrapper tells each of them
`http.disconnect`, as if its client had left, and then completes the body, so that the client sees a
clean end. It touches the streams of its own server only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Stream:
    """One HTTP exchange: knows whether its body is open, and can be told to end."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._waits: set[anyio.CancelScope] = set()
        self._ending = False
        self.open = False

    def end(self) -> None:
        """Let the application receive `http.disconnect` once its body is being streamed."""
        self._ending = True
        if self.open:
            for wait in self._waits:
                wait.cancel()

    async def receive(self) -> Message:
        """Receive from the client, or `http.disconnect` when the stream has to end."""
        if not (self._ending and self.open):
            with anyio.CancelScope() as wait:
                self._waits.add(wait)
                try:
                    return await self._receive()
                finally:
                    self._waits.discard(wait)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a message on and keep `open` true to it."""
        await self._send(message)
        if message["type"] == "http.response.start":
            # A body of known length is no stream: it finishes on its own.
            names = {name.lower() for name, _ in message.get("headers", [])}
            self.open = b"content-length" not in names
            if self._ending:
                self.end()
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.open = False

    async def complete(self) -> None:
        """Send the end of the body that the application left open because we told it to stop."""
        if self._ending and self.open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class Streams:
    """ASGI wrapper around an application whose HTTP streams can be ended.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[Stream] = set()
        self._ending = False
        self.lifespan: asyncio.Task[object] | None = None

    def end(self) -> None:
        """End every stream, those that open from now on included."""
        self._ending = True
        for stream in self._open:
            stream.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        if scope["type"] == "lifespan":
            self.lifespan = asyncio.current_task()
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stream = Stream(receive, send)
        self._open.add(stream)
        if self._ending:
            stream.end()
        try:
            await self._app(scope, stream.receive, stream.send)
        finally:
            self._open.discard(stream)
            await stream.complete()
