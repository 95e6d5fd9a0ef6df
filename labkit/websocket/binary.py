"""Text, binary or gone: what one ASGI message holds, and a header that makes bytes safe to read.

Chapter 2. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("!BBI")
VERSION = 1


@dataclass(frozen=True, slots=True)
class Gone:
    """The peer has left, with this code and reason."""

    code: int
    reason: str = ""


def payload_of(message: Mapping[str, Any]) -> str | bytes | Gone:
    """Say what a message from ASGI's `receive` holds.

    A server may leave the other key out or set it to None (ASGI's WebSocket specification,
    *Receive - receive event*), and an empty text or binary message is a message.

    Raises:
        ValueError: the message is none that a connected WebSocket can receive.
    """
    if message["type"] == "websocket.disconnect":
        return Gone(message.get("code") or 1005, message.get("reason") or "")
    for key in ("text", "bytes"):
        payload: str | bytes | None = message.get(key)
        if payload is not None:
            return payload
    raise ValueError(f"a {message['type']!r} message has neither text nor bytes")


@dataclass(frozen=True, slots=True)
class Packet:
    """A binary message: version, kind and length in six bytes (network order), then the body.

    Attributes:
        kind: 0 to 255, the application's own.
        body: at most 4 GiB by its form, far less by `max_bytes` of whoever reads it.
    """

    kind: int
    body: bytes

    def pack(self) -> bytes:
        """Make the bytes of the message.

        Raises:
            ValueError: kind is not 0 to 255.
        """
        if not 0 <= self.kind <= 255:  # noqa: PLR2004 - one byte
            raise ValueError(f"kind is {self.kind}: it has one byte, 0 to 255")
        return _HEADER.pack(VERSION, self.kind, len(self.body)) + self.body

    @classmethod
    def unpack(cls, data: bytes, *, max_bytes: int = 1 << 16) -> Packet:
        """Read a message, and believe nothing it says of itself.

        Raises:
            ValueError: too short, another version, too long, or a length that is not true.
        """
        if len(data) < _HEADER.size:
            raise ValueError(f"the message has {len(data)} bytes: its header alone has 6")
        version, kind, length = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if version != VERSION:
            raise ValueError(f"version is {version}: this endpoint reads version {VERSION}")
        if length > max_bytes:
            raise ValueError(f"length is {length}: at most {max_bytes} bytes are read")
        if length != len(body):
            raise ValueError(f"length is {length}, but {len(body)} bytes follow")
        return cls(kind, body)
