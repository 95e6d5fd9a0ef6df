"""Publish once, number it, and let who was away catch up.

The promises:
    - Who listens is in one book, the manager's, by connection; this module keeps what was said.
    - Each message on a topic has a position, `epoch:offset`, one more than the last. A client
      that was away says the last one it has, and gets everything after it, in order and before
      anything new, or is told that it cannot: `recovered: false` and why. Never a part.
    - A message is encoded before it is numbered and before anyone gets it.
    - A topic that nobody listens to and that nobody can come back to is not kept.

Chapter 9. One process. The history is chapter 3's, so the same topic can be an event stream.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, JsonValue

from labkit.architecture.handlers import Refused, Router
from labkit.architecture.manager import Connection, Manager, TooManyTopics
from labkit.architecture.messages import (
    ClientMessage,
    Outgoing,
    Ping,
    Pong,
    Subscribe,
    Topic,
    Unsubscribe,
    encode,
)
from labkit.messaging.envelope import Now, now_utc, stamped
from labkit.messaging.ordering import Once
from labkit.sse.format import Parser
from labkit.sse.history import History, Recovered, Reset

May = Callable[[Connection, str], bool]


class SubscribeAfter(Subscribe):
    """Ask for a topic; with `after`, also for what was said since that position."""

    after: Annotated[str, Field(max_length=64)] | None = None


class Publish(ClientMessage):
    """Say something on a topic. Its `id` makes it safe to send again."""

    type: Literal["publish"]
    id: Annotated[str, Field(min_length=1, max_length=64)]
    topic: Topic
    data: JsonValue


class Published(NamedTuple):
    """Where a message stands in its topic, None if nobody can ever ask; and who accepted it."""

    at: str | None
    listeners: int


def _new_epoch() -> str:
    return secrets.token_hex(4)


class Topics:
    """The topics of one process.

    Args:
        manager: the book of who listens.
        max_events: messages kept of one topic.
        max_age_s: seconds a message is kept, and a topic after its last listener.
        max_left: topics kept without a listener; then the one left longest ago is forgotten.
        clock: monotonic seconds.
        now: the time that messages carry.
        new_epoch: names a new history, `[0-9a-z]{1,32}`, never twice the same.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        max_events: int = 100,
        max_age_s: float = 300.0,
        max_left: int = 1000,
        clock: Callable[[], float] = time.monotonic,
        now: Now = now_utc,
        new_epoch: Callable[[], str] = _new_epoch,
    ) -> None:
        self.max_events = max_events
        self.max_age_s = max_age_s
        self.max_left = max_left
        self._manager = manager
        self._clock = clock
        self._now = now
        self._new_epoch = new_epoch
        self._epoch = new_epoch()
        self._histories: dict[str, History] = {}
        self._left: dict[str, float] = {}  # topic: when, the one left longest ago first

    def __len__(self) -> int:
        """How many topics are kept."""
        return len(self._histories)

    def publish(self, topic: str, data: object) -> Published:
        """Number a message and send it to everyone who listens. Waits for nobody.

        Raises:
            ValueError: the data cannot be told in JSON; it has no number and nobody got it.
        """
        self._forget_the_old()
        history = self._histories.get(topic)
        if history is None:
            stamped("event", now=self._now, topic=topic, data=data)
            return Published(None, 0)
        at = str(history.position._replace(offset=history.position.offset + 1))
        message = stamped("event", now=self._now, topic=topic, at=at, data=data)
        history.append(topic, str(message.payload))
        return Published(at, self._manager.publish(topic, message))

    def subscribe(
        self,
        connection: Connection,
        topic: str,
        *,
        after: str | None = None,
        ref: str | None = None,
    ) -> None:
        """Let the connection hear a topic; tell it so, and everything since `after`.

        Whether it may is decided before. A connection that has gone is left in peace.

        Raises:
            TooManyTopics: it listens to as many as it may.
        """
        if connection not in self._manager:
            return
        self._manager.subscribe(connection, topic)
        self._forget_the_old()
        self._left.pop(topic, None)
        if topic not in self._histories:
            self._histories[topic] = History(
                max_events=self.max_events,
                max_age_s=self.max_age_s,
                clock=self._clock,
                epoch=self._epoch,
            )
        connection.when_gone(self._gone)
        history = self._histories[topic]
        since = None if after is None else history.since(after)
        recovered = None if since is None else isinstance(since, Recovered)
        gap = since.reason.value if isinstance(since, Reset) else None
        ok = encode("ok", ref=ref, at=str(history.position), recovered=recovered, gap=gap)
        connection.send(ok)
        if isinstance(since, Recovered):
            _replay(connection, since)

    def unsubscribe(self, connection: Connection, topic: str) -> None:
        """Undo `subscribe`. Idempotent."""
        self._manager.unsubscribe(connection, topic)
        if not self._manager.listeners(topic):
            self._leave(topic)

    def _gone(self, connection: Connection) -> None:
        for topic in connection.topics:
            if self._manager.listeners(topic) == 1:  # the one that goes
                self._leave(topic)

    def _leave(self, topic: str) -> None:
        """Keep an empty topic for those who may come back; without a message, nobody would."""
        history = self._histories.get(topic)
        if history is not None and history.position.offset == 0:
            del self._histories[topic]
        elif history is not None:
            self._left.setdefault(topic, self._clock())
        self._forget_the_old()

    def _forget_the_old(self) -> None:
        oldest = self._clock() - self.max_age_s
        while self._left:
            topic, left_s = next(iter(self._left.items()))
            if left_s >= oldest and len(self._left) <= self.max_left:
                return
            del self._left[topic], self._histories[topic]
            self._epoch = self._new_epoch()  # its numbers must not be given again


def _replay(connection: Connection, since: Recovered) -> None:
    parser = Parser()
    for entry in since.entries:
        for event in parser.feed(entry.wire):
            connection.send(Outgoing(event.data, len(event.data.encode())))


def add_topics(
    router: Router, topics: Topics, once: Once, *, may_subscribe: May, may_publish: May
) -> None:
    """Teach a router `subscribe`, `unsubscribe`, `publish`, `ping` and `pong`.

    Args:
        router: learns the five messages.
        topics: where they lead.
        once: remembers what was published, by user; without a user, by connection.
        may_subscribe: whether this connection may hear this topic. There is no default.
        may_publish: whether it may speak there. There is no default.
    """

    @router.on(SubscribeAfter)
    def subscribe(connection: Connection, message: SubscribeAfter) -> None:
        if not may_subscribe(connection, message.topic):
            raise Refused("forbidden", "you may not listen to this topic")
        try:
            topics.subscribe(connection, message.topic, after=message.after, ref=message.id)
        except TooManyTopics as error:
            raise Refused("too_many_topics", str(error)) from None

    @router.on(Unsubscribe)
    def unsubscribe(connection: Connection, message: Unsubscribe) -> None:
        topics.unsubscribe(connection, message.topic)
        connection.send(encode("ok", ref=message.id))

    @router.on(Publish)
    async def publish(connection: Connection, message: Publish) -> None:
        if not may_publish(connection, message.topic):
            raise Refused("forbidden", "you may not publish on this topic")

        async def work() -> str | None:
            return topics.publish(message.topic, message.data).at

        at = await once.do(connection.user or connection.id, message, work)
        connection.send(encode("ok", ref=message.id, at=at))

    @router.on(Ping)
    def ping(connection: Connection, message: Ping) -> None:
        connection.send(encode("pong", ref=message.id))

    @router.on(Pong)
    def pong(connection: Connection, message: Pong) -> None:
        """Do nothing: the session has already noted the sign of life."""
