"""What happened lately, so that a client that comes back loses nothing, or is told.

The promise: `since` gives every event after a position, or names the reason why it cannot.
Never a part. A position is `epoch:offset`: the epoch names this history, the offset counts
its events from 1. After a restart the epoch is another, so an old position cannot be
mistaken for a new one.

Chapter 3. Pure: the clock is an argument. The epoch-and-offset idea is Centrifugo's.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from labkit.sse.format import Event, encode

if TYPE_CHECKING:
    from collections.abc import Callable

_POSITION = re.compile(r"([0-9a-z]{1,32}):([0-9]{1,18})", re.ASCII)


class Position(NamedTuple):
    """A place in a history: `str()` gives the text that travels as an event's id."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a position back.

        Raises:
            ValueError: the text is not of the form `epoch:offset`.
        """
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is no position: expected 'epoch:offset'")
        return cls(match[1], int(match[2]))


class GapReason(Enum):
    """Why a stream is not complete. The value is what the client reads."""

    MALFORMED = "malformed id"
    OTHER_EPOCH = "other epoch"
    TOO_OLD = "too old"
    FROM_THE_FUTURE = "from the future"
    NOT_HEARD = "topic not heard since"
    BROKER_LOST = "broker lost"
    SLOW = "slow reader"


class Entry(NamedTuple):
    """One published event, encoded once for every stream that gets it."""

    offset: int
    at_s: float
    topic: str
    wire: bytes


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything after the position, oldest first."""

    position: Position
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """Something may be missing: the client must fetch its state anew."""

    reason: GapReason


class History:
    """A ring of the last events.

    Args:
        max_events: keep at most this many.
        max_age_s: keep an event at most this long, in seconds.
        clock: monotonic seconds.
        epoch: the name of this history; random when None.

    Raises:
        ValueError: a bound is not positive, or the epoch is not `[0-9a-z]{1,32}`.
    """

    def __init__(
        self,
        *,
        max_events: int = 100,
        max_age_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        epoch: str | None = None,
    ) -> None:
        if max_events < 1:
            raise ValueError(f"max_events is {max_events}: give 1 or more")
        if max_age_s <= 0:
            raise ValueError(f"max_age_s is {max_age_s}: give more than 0 seconds")
        self.position = Position.parse(f"{epoch or _new_epoch()}:0")
        self._max_events = max_events
        self._max_age_s = max_age_s
        self._clock = clock
        self._entries: deque[Entry] = deque()

    def append(self, topic: str, data: str, event: str | None = None) -> Entry:
        """Give an event the next position as its id, and keep it.

        Raises:
            ValueError: the event cannot be told on the wire; nothing is kept.
        """
        position = self.position._replace(offset=self.position.offset + 1)
        wire = encode(Event(data, event, id=str(position)))
        entry = Entry(position.offset, self._clock(), topic, wire)
        self.position = position
        self._entries.append(entry)
        self._forget_the_old()
        return entry

    def since(self, text: str) -> Recovered | Reset:
        """Give all events after a position that a client sent, or the reason why not."""
        self._forget_the_old()
        try:
            position = Position.parse(text)
        except ValueError:
            return Reset(GapReason.MALFORMED)
        if position.epoch != self.position.epoch:
            return Reset(GapReason.OTHER_EPOCH)
        missed = self.position.offset - position.offset
        if missed < 0:
            return Reset(GapReason.FROM_THE_FUTURE)
        if missed > len(self._entries):
            return Reset(GapReason.TOO_OLD)
        known = len(self._entries) - missed
        return Recovered(position, tuple(islice(self._entries, known, None)))

    def restart(self, position: Position | None = None) -> None:
        """Forget everything and take another epoch: every earlier position is now a Reset.

        Args:
            position: where to go on, when somebody else counts; a new epoch when None.
        """
        self._entries.clear()
        self.position = position or Position(_new_epoch(), 0)

    def _forget_the_old(self) -> None:
        oldest = self._clock() - self._max_age_s
        while self._entries and (
            len(self._entries) > self._max_events or self._entries[0].at_s < oldest
        ):
            self._entries.popleft()


def _new_epoch() -> str:
    return secrets.token_hex(4)
