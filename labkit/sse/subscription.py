"""One stream's place in a broker: what it wants, what waits for it, what it lost.

The promises: a publisher never waits for a reader; what waits is bounded; what is lost is
told in the stream, as `event: gap`, at the place where it is missing.

Chapter 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple, Self

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.inline import Once, Turn
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


def _live(entries: list[Entry]) -> Batch:
    return Batch(b"".join([each.wire for each in entries]), len(entries))


_LIVE = Once(_live)


class _Wake:
    """An `asyncio.Event` for one waiter: without the queue of many, it is 800 bytes smaller."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self) -> bool:
        if not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return True


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
        self._wake = _Wake()
        self._loop = asyncio.get_running_loop()
        self._turn = Turn.of(self._loop)
        self._write: Callable[[Batch], bool] | None = None
        self._written_at = 0.0
        self._scheduled = False
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
        self._turn.share_out()
        if self.ended is not None:
            return
        fits = self._backlog.put(wire, len(wire), key)
        if not fits and self._backlog.overflow is Overflow.DISCONNECT:
            self.end(GapReason.SLOW.value)
        if self._write is None:
            self._wake.set()
        elif not self._scheduled:
            self._scheduled = True
            self._turn.add(self)

    def put_all(self, entries: list[Entry], size: int) -> None:
        """Add the live events of a turn that ends now, `size` bytes together, and write them."""
        waiting = self._backlog
        untold = self.dropped - self._told  # of these `take` tells first
        behind = waiting or untold or self.ended is not None
        fits = size <= waiting.max_bytes and len(entries) <= waiting.max_items
        if self._write is not None and fits and not behind:
            self._offer(_LIVE(entries))
        else:
            for each in entries:
                self.put(each)

    def flush(self) -> None:
        """Write what the turn has brought, without waking the reader, or wake it."""
        self._scheduled = False
        if self._backlog and self._write is not None and self.ended is None:
            self._offer(self.take())
        elif self._backlog:
            self._wake.set()

    def _offer(self, batch: Batch) -> None:
        """Have the reader write it as it sleeps; when it cannot, it wakes up and sees to it."""
        if self._write is not None and self._write(batch):
            self._written_at = self._loop.time()
        else:
            self._write = None
            self._wake.set()

    async def wait(self, timeout_s: float, write: Callable[[Batch], bool] | None = None) -> bool:
        """Wait until there is something to take, or the end; False after `timeout_s` of silence.

        Args:
            timeout_s: seconds without anything to take.
            write: called at the end of each turn with what it has brought. The reader sleeps on
                until it returns False; what it was given then is the reader's to finish.
        """
        self._write, self._written_at = write, self._loop.time()
        try:
            while (due := self._written_at + timeout_s) > self._loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        return await self._wake.wait()
        finally:
            self._write = None
        self._turn.share_out()  # an event of the last moment is no silence
        return self._wake.is_set() or bool(self._backlog)

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
        self._turn.share_out()
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
