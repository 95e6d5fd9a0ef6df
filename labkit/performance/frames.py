"""Below ASGI: a message becomes a frame once, and a turn's frames become one write.

ASGI hands a server one message for one connection. So a server masks nothing, shares nothing,
and frames the same text a thousand times for a thousand connections. But the frame of a server
is the same for everyone (RFC 6455 §5.1: it is not masked), and compressed without context it is
as well (RFC 7692 §7.1.1.1). `FrameProtocol` makes it once, and offers the session a `Writer`
that puts all of a turn's frames on the transport in one write.

An opt-in, and nothing above it changes: `uvicorn --ws labkit.performance.frames:FrameProtocol`.
The session takes the writer while the transport is ready, and ASGI's `send` when it is not, so
back-pressure, deadlines and close codes are those of chapters 1 and 2. This is the only place
that stands on uvicorn's internals; a test names those it needs.

Chapter 7.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.server import ServerProtocol

from labkit.architecture.codes import CloseCode
from labkit.architecture.inline import Once
from labkit.websocket.session import WRITER

if TYPE_CHECKING:
    from labkit.architecture.messages import Outgoing

_FIN, _RSV1 = 0x80, 0x40
_TEXT, _BINARY = 0x1, 0x2
_BYTE_LENGTH, _TWO_BYTE_LENGTH = 125, 0xFFFF
_WINDOW_BITS, _MEM_LEVEL = 12, 5  # uvicorn's own choice: 4 KiB of history, 10 KiB of state
MAX_FRAGMENTS = 1000
"""Of one message. Empty ones escape every limit on bytes, and each is kept until the last."""
_WORTH_DEFLATING = 64  # bytes; below, the five that deflate adds are not won back


def frame(payload: str | bytes, *, deflate: bool = False) -> bytes:
    """Make the one frame of a server's message (RFC 6455 §5.2).

    Args:
        payload: a text or a binary message.
        deflate: compress it without context (RFC 7692 §7.2.1), when that makes it smaller.
    """
    body = payload.encode() if isinstance(payload, str) else payload
    first = _FIN | (_TEXT if isinstance(payload, str) else _BINARY)
    if deflate and len(body) >= _WORTH_DEFLATING:
        squeezed = _deflated(body)
        if len(squeezed) < len(body):
            body, first = squeezed, first | _RSV1
    size = len(body)
    if size <= _BYTE_LENGTH:
        return bytes((first, size)) + body
    if size <= _TWO_BYTE_LENGTH:
        return bytes((first, 126)) + size.to_bytes(2, "big") + body
    return bytes((first, 127)) + size.to_bytes(8, "big") + body


def _deflated(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-_WINDOW_BITS, memLevel=_MEM_LEVEL)
    return (deflater.compress(body) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _joined(messages: list[Outgoing], *, deflate: bool) -> bytes:
    return b"".join([_made(each, deflate=deflate) for each in messages])


def _made(message: Outgoing, *, deflate: bool) -> bytes:
    form = "deflated frame" if deflate else "frame"
    made = message.made.get(form)
    if made is None:
        made = message.made[form] = frame(message.payload, deflate=deflate)
    return made


_PLAIN, _DEFLATED = Once(partial(_joined, deflate=False)), Once(partial(_joined, deflate=True))


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, and a `Writer` for whoever looks into the scope for one."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(config, *args, **kwargs)
        self._wire = _PLAIN
        self._full = self._closing = False
        if config.ws_per_message_deflate:
            self.conn = ServerProtocol(
                extensions=[
                    ServerPerMessageDeflateFactory(
                        server_no_context_takeover=True,
                        client_no_context_takeover=True,
                        server_max_window_bits=_WINDOW_BITS,
                        client_max_window_bits=_WINDOW_BITS,
                        compress_settings={"memLevel": _MEM_LEVEL},
                    )
                ],
                max_size=config.ws_max_size,
                logger=self.logger,
            )

    def handle_connect(self, event: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Offer the writer in the scope, before the application's first step."""
        super().handle_connect(event)
        if not self.close_sent:
            self._wire = _DEFLATED if self.conn.extensions else _PLAIN
            self.scope["extensions"][WRITER] = self  # type: ignore[assignment]  # typed for its own

    def handle_cont(self, event: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Take a fragment, up to so many; then close with 1009 (RFC 6455 §7.4.1)."""
        if len(self.frames) >= MAX_FRAGMENTS and not self.close_sent:
            self.conn.fail(CloseCode.TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            self.frames = []
        elif not self.close_sent:
            super().handle_cont(event)

    def handle_close(self, event: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Answer the peer's close frame; nothing may follow it (RFC 6455 §5.5.1)."""
        self._closing = True
        super().handle_close(event)

    def shutdown(self) -> None:
        """Send 1012 when the server stops; nothing may follow it either."""
        self._closing = True
        super().shutdown()

    def pause_writing(self) -> None:
        """Note that the transport is full."""
        super().pause_writing()
        self._full = True

    def resume_writing(self) -> None:
        """Note that it is not."""
        super().resume_writing()
        self._full = False

    @property
    def ready(self) -> bool:
        """Whether the connection is open, and the transport takes bytes without waiting.

        Asked once for each delivery, so it calls nothing.
        """
        ended = self._closing or self.close_sent or self.disconnected
        return self.handshake_complete and not (self._full or ended)

    def write(self, messages: list[Outgoing]) -> None:
        """Write all of them at once."""
        self.transport.write(self._wire(messages))
