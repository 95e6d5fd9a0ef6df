"""One stream's place in a broker: what it wants, what waits for it, what it lost.

The promises: a publisher never waits for a reader; what waits is bounded; what is lost is
told in the stream, as `event: gap`, at the place where it is missing.

Chapter 3.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple, Self

from labkit.architecture.backlog import Backlog, Overflow
from labkit.sse.format import Event, encode, encode_silent
from labkit.sse.history import GapReason, Position, Recovered, Reset

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from labkit.sse.history import Entry


def gap(reason: GapReason, *, lost: int | None = None, position: Position | None = None) -> bytes:
    """Encode the event that says: something is missing here, fetch your state anew.

    Args:
        reason: what happened.
        lost: how many events, None when nobody can know.
        position: where the stream goes on, as the event's id.
    """
    data = json.dumps({"reason": reason.value, "lost": lost})
    return encode(Event(data, "gap", id=None if position is None else str(position)))


class Batch(NamedTuple):
    """Bytes ready to send, and how many published events they hold."""

    wire: bytes
    events: int


class Subscription:
    """What a broker hands out. It is its own identity: nobody can name another's.

    Args:
        topics: what it receives.
        backlog: holds what the reader has not taken yet. Under `Overflow.DISCONNECT` a full
            backlog ends the subscription and the client resumes from its last id; under the
            other policies the reader gets a gap with the number of events lost.
        detach: called once, on `close`.

    Attributes:
        topics: what it receives.
        ended: why it ended, None while it lives.
    """

    def __init__(
        self,
        topics: Collection[str],
        backlog: Backlog[bytes],
        detach: Callable[[Subscription], None],
    ) -> None:
        self.topics = frozenset(topics)
        self.ended: str | None = None
        self._backlog = backlog
        self._detach: Callable[[Subscription], None] | None = detach
        self._wake = asyncio.Event()
        self._told = 0
        self._opening = Batch(b"", 0)

    @property
    def dropped(self) -> int:
        """How many events its backlog refused or gave up."""
        return self._backlog.dropped

    def open_at(self, start: Position, recovery: Recovered | Reset | None) -> None:
        """Set what comes first: the position, then the replay or the gap."""
        if isinstance(recovery, Reset):
            self._opening = Batch(gap(recovery.reason, position=start), 0)
        elif recovery is None:
            self._opening = Batch(encode_silent(event_id=str(start)), 0)
        else:  # the client's own position first: the events that follow move it on
            missed = [entry.wire for entry in recovery.entries if entry.topic in self.topics]
            wire = encode_silent(event_id=str(recovery.position)) + b"".join(missed)
            self._opening = Batch(wire, len(missed))
        self._wake.set()

    def put(self, entry: Entry) -> None:
        """Add a live event."""
        self._append(entry.wire, entry.topic)

    def put_gap(self, reason: GapReason, position: Position) -> None:
        """Add a gap behind what waits already."""
        self._append(gap(reason, position=position), None)

    def _append(self, wire: bytes, key: str | None) -> None:
        if self.ended is not None:
            return
        fits = self._backlog.put(wire, len(wire), key)
        if not fits and self._backlog.overflow is Overflow.DISCONNECT:
            self.end(GapReason.SLOW.value)
        self._wake.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to take, or the end; False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> Batch:
        """Take all that waits, joined, with a gap where events were lost."""
        self._wake.clear()
        opening, self._opening = self._opening, Batch(b"", 0)
        waiting = self._backlog.drain()
        events = opening.events + len(waiting)
        lost, self._told = self.dropped - self._told, self.dropped
        if lost and self._backlog.overflow is Overflow.DROP_NEWEST:
            waiting.append(gap(GapReason.SLOW, lost=lost))
        elif lost and self._backlog.overflow is not Overflow.DISCONNECT:
            waiting.insert(0, gap(GapReason.SLOW, lost=lost))
        return Batch(opening.wire + b"".join(waiting), events)

    def end(self, reason: str) -> None:
        """Take no further events, and wake the reader so that it can say goodbye."""
        if self.ended is None:
            self.ended = reason
        self._wake.set()

    def close(self) -> None:
        """Leave the broker. Safe to call twice; awaits nothing, so it works while cancelled."""
        self.end("closed")
        self._backlog.drain()
        if self._detach is not None:
            detach, self._detach = self._detach, None
            detach(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
