"""The wire format of an event stream: a strict encoder and a lenient parser, both pure.

The promises: what `encode` writes, every conforming client reads back as the same event, or
it is refused with the name of the field; and `Parser` gives the same events however the
bytes were cut, within a bound on what one event may hold.

Chapter 3. WHATWG HTML §9.2.5 (grammar) and §9.2.6 (interpretation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_END_BYTES = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 15  # 31,000 years; int() of thousands of digits is an attack


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as it is sent and as it is received.

    Attributes:
        data: the text; several lines are fine.
        event: the type a page listens for; None is `message`.
        id: what a client returns as `Last-Event-ID`; None leaves its last one as it is,
            the empty string clears it.
        retry_ms: how long a client waits before it reconnects, in milliseconds.
    """

    data: str
    event: str | None = None
    id: str | None = None
    retry_ms: int | None = None


def encode(event: Event) -> bytes:
    """Encode one event, ready to be sent.

    Raises:
        ValueError: a field cannot be told on this wire; the message names it.
    """
    if not isinstance(event.data, str):
        kind = type(event.data).__name__
        raise ValueError(f"data is {kind}: give text, for example json.dumps(…)")  # noqa: TRY004 (one error type for every field)
    lines = _fields(event.id, event.retry_ms)
    if event.event:
        lines.append("event: " + _single_line("event", event.event))
    lines += ["data: " + line for line in _LINE_END.split(event.data)]
    return _to_bytes("data", lines)


def encode_silent(*, event_id: str | None = None, retry_ms: int | None = None) -> bytes:
    """Encode an id, a retry time or both, without an event.

    A block without `data` dispatches nothing, but the client keeps its id (§9.2.6). That is
    how a stream tells its position before the first event.

    Raises:
        ValueError: a field cannot be told on this wire; the message names it.
    """
    return _to_bytes("id", _fields(event_id, retry_ms))


def comment(text: str = "") -> bytes:
    """Encode a comment: bytes that keep proxies awake and that no page sees.

    Raises:
        ValueError: the text has half of a surrogate pair.
    """
    return _to_bytes("comment", [": " + line for line in _LINE_END.split(text)])


def _fields(event_id: str | None, retry_ms: int | None) -> list[str]:
    lines = []
    if event_id is not None:
        if "\0" in event_id:
            raise ValueError("id has a NUL character: clients ignore such an id, remove it")
        lines.append("id: " + _single_line("id", event_id))
    if retry_ms is not None:
        if not isinstance(retry_ms, int) or retry_ms < 0:
            raise ValueError(f"retry_ms is {retry_ms!r}: give whole milliseconds, 0 or more")
        lines.append(f"retry: {retry_ms:d}")
    return lines


def _single_line(field: str, value: str) -> str:
    if _LINE_END.search(value):
        raise ValueError(f"{field} has a line break, which would start a new field: remove it")
    _to_bytes(field, [value])
    return value


def _to_bytes(field: str, lines: list[str]) -> bytes:
    try:
        return ("\n".join(lines) + "\n\n").encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{field} has half of a surrogate pair, which UTF-8 cannot hold: "
            "decode with errors='replace' where the text comes in"
        ) from None


class Parser:
    """An incremental parser for `text/event-stream`, by the rules browsers follow.

    Args:
        last_event_id: what the client knew before; kept until the stream sets another.
        max_event_bytes: at most this many bytes of one line, and of one event's data.

    Attributes:
        last_event_id: what a client would return as `Last-Event-ID` now.
        retry_ms: the last valid reconnection time, None when there was none.
        comments: how many comment lines came by.
    """

    def __init__(self, *, last_event_id: str = "", max_event_bytes: int = 1 << 20) -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes is {max_event_bytes}: give 1 or more")
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.comments = 0
        self._max_event_bytes = max_event_bytes
        self._partial = bytearray()
        self._at_start = True
        self._after_cr = False
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""
        self._id: str | None = None
        self._block_retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes, cut anywhere; return the events they complete.

        Raises:
            ValueError: an event outgrew `max_event_bytes`; close the stream.
        """
        if not chunk:
            return []
        if self._after_cr:  # CR LF is one line end, even with a cut between the two
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END_BYTES.split(chunk)
        events = []
        for line in lines:
            self._partial += line
            self._check_size()
            complete, self._partial = bytes(self._partial), bytearray()
            event = self._take_line(complete)
            if event is not None:
                events.append(event)
        self._partial += rest
        self._check_size()
        return events

    def _check_size(self) -> None:
        if len(self._partial) + self._data_bytes > self._max_event_bytes:
            raise ValueError(
                f"an event is larger than max_event_bytes ({self._max_event_bytes}): "
                "send less in one event, or allow more"
            )

    def _take_line(self, line: bytes) -> Event | None:
        if self._at_start:  # §9.2.6: one leading byte order mark is not part of the stream
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            self.comments += 1
            return None
        name, _, value = line.partition(b":")
        self._take_field(name, value.removeprefix(b" "))
        return None

    def _take_field(self, name: bytes, value: bytes) -> None:
        text = value.decode(errors="replace")
        if name == b"data":
            self._data.append(text)
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._event = text
        elif name == b"id" and "\0" not in text:
            self._id = text
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry_ms = self._block_retry_ms = int(value)

    def _dispatch(self) -> Event | None:
        if self._id is not None:
            self.last_event_id = self._id
        event = None
        if self._data:
            text = "\n".join(self._data)
            event = Event(text, self._event or None, self._id, self._block_retry_ms)
        self._clear()
        return event

    def _clear(self) -> None:
        self._data = []
        self._data_bytes = 0
        self._event = ""
        self._id = None
        self._block_retry_ms = None
