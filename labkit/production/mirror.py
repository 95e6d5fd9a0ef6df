"""One topic as one process sees it: what it has, and what it must read up.

The promises: an event is handed out once, in order, when its number is the next; anything else
changes nothing but `current`; what cannot be read up is told as a gap, and no position from before
the gap counts.

Chapter 12. Pure: it is given what was heard and what was read, and asks for neither.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from labkit.production.log import Kept
from labkit.production.traces import handing_out
from labkit.sse.broker import Hub
from labkit.sse.history import GapReason, History, Position
from labkit.sse.valkey import read_message

logger = logging.getLogger(__name__)

Heard = Callable[[str, Position, str], None]
"""Told of each event: topic, position, data."""
Missed = Callable[[str, Position], None]
"""Told that events up to this position may be missing."""


class Mirror:
    """The last events of one topic, and the streams that want them.

    Args:
        topic: which.
        history: empty; where it stands means nothing until the first `catch_up`.
        closed: called when a stream has left.
        heard, missed: told of each event and each gap.

    Attributes:
        hub: the streams.
        joined: whether the server sends us what is published now.
        current: whether nothing is missing up to now.
        poison: how many messages were skipped because they made no sense.
    """

    def __init__(
        self,
        topic: str,
        history: History,
        *,
        closed: Callable[[str], None] = lambda _topic: None,
        heard: Heard = lambda _topic, _at, _data: None,
        missed: Missed = lambda _topic, _at: None,
    ) -> None:
        self.hub = Hub(history, lambda _topics: closed(topic))
        self.joined = self.current = False
        self.poison = 0
        self._topic = topic
        self._heard = heard
        self._missed = missed

    @property
    def position(self) -> Position:
        """Of the last event."""
        return self.hub.history.position

    def offer(self, payload: bytes) -> bool:
        """Take what was published, `epoch:offset message`, if it is the next.

        Returns:
            False when it shows that something is missing: then read up.
        """
        text, _, message = payload.partition(b" ")
        try:
            at = Position.parse(text.decode(errors="replace"))
        except ValueError as error:
            self._skip(error)
            return True
        last = self.position
        if self.current and at == last._replace(offset=last.offset + 1):
            self._take(message)
        elif at != last:  # not what has just been read
            self.current = False
        return self.current

    def catch_up(self, kept: Kept) -> None:
        """Bring the mirror up to what the server has; what is missing is told."""
        epoch, offset = kept.at
        if self.position.epoch != epoch:
            before = kept.entries[0][0] - 1 if kept.entries else offset
            self._miss(Position(epoch, before))
        for number, message in kept.entries:
            if number > self.position.offset + 1:
                self._miss(Position(epoch, number - 1))
            if number == self.position.offset + 1:
                self._take(message)
        if self.position.offset < offset:
            self._miss(kept.at)

    def _take(self, message: bytes) -> None:
        """Hand out the next event; one that makes no sense is a gap."""
        try:
            data, event = read_message(message)
        except ValueError as error:
            self._skip(error)
            self._miss(self.position._replace(offset=self.position.offset + 1))
            return
        with handing_out(self._topic, message):
            self.hub.dispatch(self._topic, data, event)
            self._heard(self._topic, self.position, data)

    def _miss(self, position: Position) -> None:
        self.hub.history.restart(position)
        self.hub.tell_gap(GapReason.BROKER_LOST, tuple(self.hub.subscriptions))
        self._missed(self._topic, position)

    def _skip(self, error: ValueError) -> None:
        self.poison += 1
        logger.warning("skipped a message on %r: %s", self._topic, error)
