"""Signal a real process, and tell what each of its clients lived through, as a timeline."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess
from labkit.workbench.scenes import Audience, Heard, received
from labkit.workbench.timeline import Lane, Timeline

MARKS = ("SIGTERM", "deadline", "SIGKILL")
PATIENCE_S = 10.0
Client = WebSocketClient | SSEClient | StalledReader


@dataclass(frozen=True)
class Shutdown:
    """How a process ended.

    Attributes:
        exited: whether it ended by itself, within the deadline.
        audience: what each client that reads has got, by name.
        timeline: the same as a picture.
    """

    exited: bool
    audience: Audience
    timeline: Timeline

    def told(self, name: str) -> bool:
        """Whether a client was told that the server goes, in a message."""
        return _was_told(self.audience[name])

    def __repr__(self) -> str:
        return str(self.timeline)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.timeline._repr_mimebundle_()


async def shut_down(process: ServerProcess, *clients: Client, deadline_s: float = 5.0) -> Shutdown:
    """Send SIGTERM; after the deadline, SIGKILL. Clients are drawn in the order given.

    Args:
        process: runs.
        clients: are connected. One that is stalled is drawn until its process ends.
        deadline_s: seconds for the process to end by itself.
    """
    tasks = {
        each.name: asyncio.ensure_future(received(each, patience_s=deadline_s + PATIENCE_S))
        for each in clients
        if not isinstance(each, StalledReader)
    }
    process.signal(signal.SIGTERM)
    exited = await _exits(process, deadline_s)
    early = {name for name, task in tasks.items() if exited or task.done()}
    process.kill()
    heard = {name: (await task)[0] for name, task in tasks.items()}
    last = 1 if exited else len(MARKS)
    lanes = [
        Lane(each.name, 1 if each.name in early else last, *_ending(heard.get(each.name)))
        for each in clients
    ]
    lanes.append(Lane("the process", last, "exit" if exited else "killed", exited))
    marks = MARKS[:1] if exited else MARKS
    return Shutdown(exited, Audience(heard.values()), Timeline(marks, tuple(lanes)))


async def _exits(process: ServerProcess, deadline_s: float) -> bool:
    try:
        await process.ended(timeout_s=deadline_s)
    except Silence:
        return False
    return True


def _was_told(heard: Heard) -> bool:
    """Whether the notice of a WebSocket or the goodbye of a stream is among the messages."""
    messages = [each for each in heard.messages if isinstance(each, dict)]
    return any("shutdown" in (each.get("type"), each.get("reason")) for each in messages)


def _ending(heard: Heard | None) -> tuple[str, bool]:
    """Say in words how a client's connection ended, and whether that was clean."""
    if heard is None:
        return "reads nothing: cut off", False
    told = _was_told(heard)
    ending = heard.ending or "open"
    if heard.closed is not None:
        ending = f"closed {heard.closed.code}"
    return f"{'told, then' if told else 'not told:'} {ending}", told
