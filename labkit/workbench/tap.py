"""Watch one ASGI conversation and write it down, without standing in its way.

`send` and `receive` of the application stay as they are: they suspend when the server's own do
and at no other place, and whatever those raise goes through. Code that drives a `send` by hand
to see whether it would wait gets the same answer as without the tap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from labkit.websocket.session import WRITER
from labkit.workbench.frames import End, Entry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT_CHARACTERS = 400
_KEPT_BYTES = 8
_OWN_CODES = frozenset({1002, 1007, 1009, 1012})
"""Codes that arrive as a disconnect although the server chose them: a frame that breaks the
protocol, wrong UTF-8, too big, and the restart (RFC 6455 §7.4.1, IANA)."""


class Recorder(Protocol):
    """Where entries are written down."""

    def record(self, entry: Entry) -> None:
        """Write one down."""

    def changed(self) -> None:
        """Note that an entry has found its end."""


class Tap(ABC):
    """One conversation between a client and an application."""

    def __init__(
        self, recorder: Recorder, client: str, server: str, receive: Receive, send: Send
    ) -> None:
        self._recorder = recorder
        self._client = client
        self._server = server
        self._receive = receive
        self._send = send
        self._over = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application for this conversation."""
        self._opened(scope)
        offered = scope.get("extensions", {})
        seen = {name: each for name, each in offered.items() if name != WRITER}  # it passes by us
        try:
            await app({**scope, "extensions": seen}, self.receive, self.send)
        except BaseException as error:
            self._left(type(error).__name__)
            raise
        self._left("")

    async def receive(self) -> Message:
        """Receive what the server has, and write it down."""
        message = await self._receive()
        self._received(message)
        return message

    async def send(self, message: Message) -> None:
        """Write the message down, send it, and write down how that ended."""
        entries = self._sending(message)
        for entry in entries:
            self._recorder.record(entry)
        end = End.CUT
        try:
            await self._send(message)
            end = End.ARRIVED
        except OSError:  # the client is gone (ASGI 2.4)
            self._over = True
            raise
        finally:
            for entry in entries:
                entry.end = end
            self._recorder.changed()

    def _up(self, kind: str, text: str = "", size: int = 0, end: End = End.ARRIVED) -> None:
        self._recorder.record(Entry(self._client, self._server, kind, text, size, end))

    def _down(self, kind: str, text: str = "", size: int = 0, end: End = End.WAITING) -> Entry:
        return Entry(self._server, self._client, kind, text, size, end)

    @abstractmethod
    def _opened(self, scope: Scope) -> None:
        """Write down how the conversation begins."""

    @abstractmethod
    def _received(self, message: Message) -> None:
        """Write down what came from the client."""

    @abstractmethod
    def _sending(self, message: Message) -> list[Entry]:
        """Return the entries of what the application sends."""

    @abstractmethod
    def _left(self, error: str) -> None:
        """Write down that the application returned or raised, when that cut something."""


class WebSocketTap(Tap):
    """One WebSocket."""

    _accepted = False

    def _opened(self, scope: Scope) -> None:
        self._up("connect", _path(scope))

    def _received(self, message: Message) -> None:
        if message["type"] == "websocket.receive":
            self._up(*_payload(message))
        elif message["type"] == "websocket.disconnect" and not self._over:
            self._over = True
            self._disconnected(message.get("code", 1005), message.get("reason"))

    def _disconnected(self, code: int, reason: str | None) -> None:
        if code in _OWN_CODES:
            closed = self._down("close", _close(code, reason), end=End.ARRIVED)
            self._recorder.record(closed)
        elif reason is None:  # uvicorn names no reason when there was no close frame
            self._up("lost", "without a close frame", end=End.CUT)
        else:
            self._up("close", _close(code, reason))

    def _sending(self, message: Message) -> list[Entry]:
        kind = message["type"].removeprefix("websocket.")
        if kind == "send":
            return [self._down(*_payload(message))]
        if kind == "accept":
            self._accepted = True
            return [self._down("accept", message.get("subprotocol") or "")]
        if kind == "close" and self._accepted:
            self._over = True
            return [self._down("close", _close(message.get("code", 1000), message.get("reason")))]
        if kind in {"close", "http.response.start"}:
            self._over = True
            return [self._down("reject", _status(message.get("status", HTTPStatus.FORBIDDEN)))]
        return []

    def _left(self, error: str) -> None:
        if not self._over:
            self._over = True
            kind, text = ("error", error) if error else ("lost", "without a close frame")
            self._recorder.record(self._down(kind, text, end=End.CUT))


class HttpTap(Tap):
    """One HTTP exchange, an event stream included."""

    _type = ""
    _started = False

    def _opened(self, scope: Scope) -> None:
        last = next((v for k, v in scope["headers"] if k == b"last-event-id"), None)
        seen = f"  Last-Event-ID: {last.decode('utf-8', 'replace')}" if last is not None else ""
        self._up("request", f"{scope['method']} {_path(scope)}{seen}")

    def _received(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.request" and body:
            self._up("body", _readable(body), len(body))
        elif message["type"] == "http.disconnect" and self._started and not self._over:
            self._over = True
            self._up("lost", "left before the end", end=End.CUT)

    def _sending(self, message: Message) -> list[Entry]:
        if message["type"] == "http.response.start":
            self._started = True
            headers = {key.lower(): value for key, value in message.get("headers", [])}
            self._type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
            return [self._down("status", f"{message['status']} {self._type}".rstrip())]
        if message["type"] != "http.response.body":
            return []
        frames = self._body(message.get("body", b""))
        if not message.get("more_body"):
            self._over = True
            if self._streams:
                frames.append(self._down("end", "of the stream"))
        return frames

    @property
    def _streams(self) -> bool:
        return self._type == "text/event-stream"

    def _body(self, body: bytes) -> list[Entry]:
        if not body:
            return []
        if self._streams:
            return [self._down("sse", block) for block in _blocks(body)]
        plain = self._type in {"application/json", "text/plain"}
        return [self._down("body", _readable(body) if plain else self._type, len(body))]

    def _left(self, error: str) -> None:
        if self._over:
            return
        self._over = True
        kind, text = ("error", error) if error else ("lost", "before the end")
        self._recorder.record(self._down(kind, text, end=End.CUT))


def _path(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _close(code: int, reason: str | None) -> str:
    return f'{code} "{reason}"' if reason else str(code)


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}" if code in set(HTTPStatus) else str(code)


def _payload(message: Message) -> tuple[str, str, int]:
    """Return kind, short text and bytes of a WebSocket message."""
    text = message.get("text")
    if text is not None:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        return "text", text[:_KEPT_CHARACTERS], size
    data = message.get("bytes") or b""
    more = " …" if len(data) > _KEPT_BYTES else ""
    return "binary", f"{len(data)} B  {bytes(data[:_KEPT_BYTES]).hex(' ')}{more}", len(data)


def _readable(body: bytes) -> str:
    return bytes(body[:_KEPT_CHARACTERS]).decode("utf-8", "replace")


def _blocks(body: bytes) -> list[str]:
    """Return the events of one chunk, each in one line. A part of an event stays a part."""
    text = bytes(body).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    blocks = (block.strip("\n") for block in text.split("\n\n"))
    return [block.replace("\n", " · ")[:_KEPT_CHARACTERS] for block in blocks if block]
