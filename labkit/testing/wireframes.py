"""WebSocket frames as they were on the wire, read from recorded bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ProtocolError
from websockets.extensions.base import Extension
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader
from websockets.typing import ExtensionName

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

LINE_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that passed together.

    Attributes:
        connection: Number of the connection, from 1.
        src: `client` or `server`.
        data: The bytes.
    """

    connection: int
    src: str
    data: bytes


@dataclass(frozen=True, slots=True)
class WireFrame:
    """One WebSocket frame (RFC 6455 §5.2).

    Attributes:
        connection: Number of the connection, from 1.
        src: `client` or `server`.
        opcode: `CONT`, `TEXT`, `BINARY`, `CLOSE`, `PING`, `PONG`, or `INVALID` for bytes that are
            no frame; nothing is read after them.
        payload: Unmasked payload; still compressed when `compressed`.
        fin: Whether it is the last frame of its message.
        masked: Whether the payload was masked, as a client's must be.
        compressed: Whether RSV1 marks a compressed message (RFC 7692).
        code: Close code; None in other frames, and in a close frame without one.
        reason: Close reason.
    """

    connection: int
    src: str
    opcode: str
    payload: bytes = b""
    fin: bool = True
    masked: bool = False
    compressed: bool = False
    code: int | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        """The payload as text, with replacement characters where it is none."""
        return self.payload.decode(errors="replace")

    def __str__(self) -> str:
        if self.opcode == "CLOSE":
            what = f"{self.code or 'without code'}{' ' if self.reason else ''}{self.reason}"
        elif self.opcode == "TEXT" and not self.compressed:
            what = self.text
        else:
            what = f"{len(self.payload)} bytes{' compressed' if self.compressed else ''}"
        return f"{self.src}: {self.opcode} {what}{'' if self.fin else ' (more follows)'}"


def decode(chunks: Iterable[Chunk]) -> list[WireFrame]:
    """Return the frames in recorded bytes, in the order in which they were complete."""
    directions: dict[tuple[int, str], _Direction] = {}
    frames: list[WireFrame] = []
    for chunk in chunks:
        key = chunk.connection, chunk.src
        if key not in directions:
            directions[key] = _Direction(*key)
        frames += directions[key].feed(chunk.data)
    return frames


class _KeepCompressed(Extension):
    """Stands in for permessage-deflate: takes the mark off a frame and leaves the payload."""

    name = ExtensionName("keep-compressed")
    compressed = False

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:  # noqa: ARG002
        self.compressed, frame.rsv1 = frame.rsv1, False
        return frame


class _Direction:
    """Parser of one direction of one connection: skips the HTTP head, then reads frames."""

    def __init__(self, connection: int, src: str) -> None:
        self._connection = connection
        self._src = src
        self._found: list[WireFrame] = []
        self._reader = StreamReader()
        self._parser = self._parse()

    def feed(self, data: bytes) -> list[WireFrame]:
        """Take the next bytes and return the frames that they complete."""
        self._reader.feed_data(data)
        next(self._parser, None)
        found, self._found = self._found, []
        return found

    def _parse(self) -> Generator[None]:
        if not (yield from self._upgraded()):
            return
        mark = _KeepCompressed()
        masked = self._src == "client"
        while True:
            try:
                frame = yield from Frame.parse(
                    self._reader.read_exact, mask=masked, extensions=[mark]
                )
            except ProtocolError as error:
                self._add("INVALID", reason=str(error))
                return
            code, reason = _close(frame)
            self._add(
                frame.opcode.name,
                payload=bytes(frame.data),
                fin=frame.fin,
                masked=masked,
                compressed=mark.compressed,
                code=code,
                reason=reason,
            )

    def _upgraded(self) -> Generator[None, None, bool]:
        """Read the HTTP head; a WebSocket's, either way, has headers of RFC 6455."""
        upgraded = False
        while (line := (yield from self._reader.read_line(LINE_MAX_BYTES))) != b"\r\n":
            upgraded |= line.lower().startswith((b"sec-websocket-key:", b"sec-websocket-accept:"))
        return upgraded

    def _add(self, opcode: str, **fields: Any) -> None:  # noqa: ANN401 - WireFrame's
        self._found.append(WireFrame(self._connection, self._src, opcode, **fields))


def _close(frame: Frame) -> tuple[int | None, str]:
    """Return code and reason of a close frame; None and the complaint when they are malformed."""
    if frame.opcode is not Opcode.CLOSE or not frame.data:
        return None, ""
    try:
        close = Close.parse(bytes(frame.data))
    except (ProtocolError, UnicodeDecodeError) as error:
        return None, str(error)
    return close.code, close.reason
