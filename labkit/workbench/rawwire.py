"""Draw WebSocket frames as they were on the wire, below what an application can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.workbench.frames import Frame
from labkit.workbench.sequence import Diagram

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.testing.wireframes import WireFrame


def sequence_of(
    frames: Iterable[WireFrame], actors: Sequence[str] = ("client", "server")
) -> Diagram:
    """Draw the frames of a raw link: pings, fragments and masks, which ASGI never sees.

    Args:
        frames: Frames as `labkit.testing.link` reads them from the bytes.
        actors: Name of the client of each connection, in order, and of the server last.

    Raises:
        ValueError: A connection has no name.
    """
    *clients, server = actors
    drawn = []
    for frame in frames:
        if not 1 <= frame.connection <= len(clients):
            raise ValueError(
                f"connection {frame.connection} has no name: give {frame.connection + 1} actors"
            )
        ends = clients[frame.connection - 1], server
        source, target = ends if frame.src == "client" else ends[::-1]
        drawn.append(Frame(source, target, frame.opcode, _details(frame), len(frame.payload)))
    return Diagram(tuple(drawn), tuple(actors), frozenset({server}))


def _details(frame: WireFrame) -> str:
    if frame.opcode == "CLOSE":
        reason = f' "{frame.reason}"' if frame.reason else ""
        return f"{frame.code or 'without a code'}{reason}"
    marks = [
        f"{len(frame.payload)} B",
        "masked" if frame.masked else "",
        "compressed" if frame.compressed else "",
        "" if frame.fin else "more follows",
    ]
    readable = frame.opcode in {"TEXT", "CONT"} and not frame.compressed
    payload = frame.text if readable else frame.payload[:8].hex(" ")
    return f"{', '.join(filter(None, marks))}  {payload}"
