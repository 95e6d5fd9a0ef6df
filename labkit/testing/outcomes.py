"""What can happen to a client, in words that a reader of a notebook understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Silence(TimeoutError):  # noqa: N818 - the name is what the reader sees
    """A deadline passed and nothing had come."""


class Disconnected(ConnectionError):  # noqa: N818 - the name is what the reader sees
    """The peer ended the connection while we waited for something else."""


class Unreachable(ConnectionError):  # noqa: N818 - the name is what the reader sees
    """Nobody accepted the connection, or its handshake made no sense."""


class Rejected(Exception):  # noqa: N818 - the name is what the reader sees
    """The server answered the WebSocket handshake with an HTTP response other than 101.

    Args:
        status: HTTP status code.
        headers: Response headers, names in lower case.
        body: Response body.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        text = self.body.decode(errors="replace")
        return f"HTTP {self.status}{': ' if text else ''}{text}"


@dataclass(frozen=True, slots=True)
class Closed:
    """How a WebSocket ended, as this side saw it.

    `code` 1005 means a close frame without a code, 1006 no close frame at all (RFC 6455 §7.4.1).
    """

    code: int
    reason: str = ""
