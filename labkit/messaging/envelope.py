"""Which language is spoken here, and when something was said.

Room 1 has the two grammars, and they are two on purpose: `ClientMessage` is strict, because what
it does not know it cannot have meant; `encode` makes what clients read, and a client leaves alone
what it does not know. What is added here: the language has a name with a number, agreed upon in
the handshake, and the time on a message is the server's.

Inside one version may change: a message to clients gets another field, clients get another
type of message, the server understands another type. Everything else is a new version: a field
or a type that goes away, one that means something else, one that clients must send.

Chapter 9. The name travels as a subprotocol (RFC 6455 §1.9 and §11.3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from starlette.websockets import WebSocket

from labkit.architecture.codes import CloseCode
from labkit.architecture.messages import Outgoing, encode

VERSIONS = ("lab.v1",)
"""What this room speaks, the best first."""

Now = Callable[[], datetime]


def now_utc() -> datetime:
    """Return the time of the server's clock, with its zone."""
    return datetime.now(UTC)


def choose(offered: Sequence[str], versions: Sequence[str] = VERSIONS) -> str | None:
    """Pick the best version that both sides speak; None when there is none."""
    return next((version for version in versions if version in offered), None)


async def negotiate(websocket: WebSocket, versions: Sequence[str] = VERSIONS) -> str | None:
    """Accept a WebSocket in a version that both sides speak, or say which ones there are.

    A client without a common version reads an error and 1008, which means stop: coming back
    does not help it. It is accepted first, by its own word, because a browser shows its script
    nothing of a handshake that failed.

    Returns:
        The version; None when the conversation is over.
    """
    offered = websocket.scope.get("subprotocols") or ()
    version = choose(offered, versions)
    await websocket.accept(version or next(iter(offered), None))
    if version is None:
        detail = "offer one of `versions` as subprotocol"
        error = encode("error", code="unknown_version", detail=detail, versions=list(versions))
        await websocket.send_text(str(error.payload))
        await websocket.close(CloseCode.POLICY_VIOLATION, "unknown version")
    return version


def stamped(type_: str, /, *, now: Now = now_utc, **fields: object) -> Outgoing:
    """Encode a message to clients that says when the server made it, in `time` (RFC 3339, UTC).

    Raises:
        ValueError: a field holds what JSON cannot.
    """
    time = now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return encode(type_, key=None, time=time, **fields)
