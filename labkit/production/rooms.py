"""Chat rooms over WebSockets at many workers: lab.v1 on top of `SharedTopics`.

Room 9 numbers and recovers in one process. Here the numbers are the service's, so `after` works
at whichever worker a client comes back to, and `publish` sent again after a worker has died is
done once. What a client sees is lab.v1, and one type more:

    < {"type": "gap", "topic": "room:tea", "at": "e1:7"}    what came up to here may be missing:
                                                            fetch your state, then go on

Chapter 12. `subscribe` and `publish` wait for Valkey: when it does not answer they are refused
with `unavailable`, and the connection stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from labkit.architecture.handlers import Refused
from labkit.architecture.manager import Connection, Manager, TooManyTopics
from labkit.architecture.messages import Outgoing, Ping, Pong, Topic, Unsubscribe, encode
from labkit.auth.access import Action, GuardedRouter
from labkit.connections.presence import Presence
from labkit.messaging.envelope import Now, now_utc, stamped
from labkit.messaging.topics import Publish, SubscribeAfter
from labkit.production.distributed import SharedTopics
from labkit.production.log import IdReusedError
from labkit.production.traces import handling
from labkit.security.validation import Text
from labkit.sse.broker import BrokerUnavailableError
from labkit.sse.format import Parser
from labkit.sse.history import Entry, Position, Recovered, Reset

MAX_NOTES = 5
_MENTION = re.compile(r"(?<![\w@])@([A-Za-z0-9_-]{1,64})")
UNAVAILABLE = "the broker is not available now: try again later"


class Say(Publish):
    """Say something in a room. Its `id` makes it safe to send again."""

    type: Literal["publish"]
    topic: Topic
    data: Text


class Rooms:
    """What this process's WebSockets hear of the service's topics.

    Args:
        manager: the book of who listens here.
        topics: the service's.
        presence: told who is in which room; None tells nobody.
        publish: hands a message to the listeners; the manager's own when None.
        now: the time that messages carry.
    """

    def __init__(
        self,
        manager: Manager,
        topics: SharedTopics,
        *,
        presence: Presence | None = None,
        publish: Callable[[str, Outgoing], int] | None = None,
        now: Now = now_utc,
    ) -> None:
        self._manager = manager
        self._hand_out = publish or manager.publish
        self._topics = topics
        self._now = now
        self._presence = presence
        self._held: dict[Connection, set[str]] = {}
        topics.follow(self._heard, self._missed)

    async def say(self, topic: str, user: str, text: str, *, once: str | None = None) -> Position:
        """Publish what a user says, and a note to each `@name` in it; returns its position.

        Args:
            topic: the room.
            user: who says it, as authentication knows.
            text: what.
            once: the user's id of it; said again with it, nothing happens again.

        Raises:
            BrokerUnavailableError, IdReusedError, ValueError: see `TopicLog.publish`.
        """
        data = {"user": user, "text": text}
        message = str(stamped("event", now=self._now, data=data).payload)
        key = None if once is None else f"{user} {once}"
        at = await self._topics.log.publish(topic, message, once=key, same=text)
        with suppress(BrokerUnavailableError):  # what was said is said, with or without the note
            for name in _mentioned(text):
                await self._topics.log.publish(f"user:{name}", message, once=key, same=text)
        return at

    async def subscribe(
        self, connection: Connection, topic: str, *, after: str | None, ref: str | None
    ) -> None:
        """Let the connection hear a topic; tell it so, and everything since `after`.

        Raises:
            Refused: it listens to too many topics, or the broker does not answer.
        """
        try:
            history = (await self._topics.hold(topic)).hub.history
        except BrokerUnavailableError:
            raise Refused("unavailable", UNAVAILABLE) from None
        # No await from here on: what is recovered and what follows have no seam.
        held = self._held.setdefault(connection, set())
        connection.when_gone(self._gone)
        if topic in held:
            self._topics.release(topic)
        held.add(topic)
        try:
            self._manager.subscribe(connection, topic)
        except TooManyTopics as error:
            self.leave(connection, topic)
            raise Refused("too_many_topics", str(error)) from None
        since = None if after is None else history.since(after)
        recovered = None if since is None else isinstance(since, Recovered)
        gap = since.reason.value if isinstance(since, Reset) else None
        at = str(history.position)
        connection.send(encode("ok", ref=ref, at=at, recovered=recovered, gap=gap))
        if isinstance(since, Recovered):
            for entry in since.entries:
                connection.send(_replayed(entry))
        if self._presence is not None:
            self._presence.join(topic, connection)

    def leave(self, connection: Connection, topic: str) -> None:
        """Undo `subscribe`. Idempotent."""
        self._manager.unsubscribe(connection, topic)
        held = self._held.get(connection, set())
        if topic in held:
            held.discard(topic)
            self._topics.release(topic)
            if self._presence is not None:
                self._presence.leave(topic, connection)

    def _gone(self, connection: Connection) -> None:
        for topic in tuple(self._held.get(connection, ())):
            self.leave(connection, topic)
        self._held.pop(connection, None)

    def _heard(self, topic: str, at: Position, data: str) -> None:
        if self._manager.listeners(topic):
            self._hand_out(topic, _event(topic, str(at), data))

    def _missed(self, topic: str, at: Position) -> None:
        self._manager.publish(topic, encode("gap", topic=topic, at=str(at)))


def _mentioned(text: str) -> list[str]:
    return sorted(set(_MENTION.findall(text)))[:MAX_NOTES]


def _event(topic: str, at: str, data: str) -> Outgoing:
    """Make the message of an event; what another service has published is passed on as text."""
    try:
        told = json.loads(data)
        return encode("event", time=told["time"], topic=topic, at=at, data=told["data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return encode("event", topic=topic, at=at, data=data)


def _replayed(entry: Entry) -> Outgoing:
    (event,) = Parser().feed(entry.wire)
    return _event(entry.topic, str(event.id), event.data)


def add_rooms(router: GuardedRouter, rooms: Rooms) -> None:
    """Teach a router `subscribe`, `unsubscribe`, `publish`, `ping` and `pong`."""

    @router.on(SubscribeAfter, action=Action.LISTEN, topic=lambda message: message.topic)
    async def subscribe(connection: Connection, message: SubscribeAfter) -> None:
        await rooms.subscribe(connection, message.topic, after=message.after, ref=message.id)

    @router.on(Say, action=Action.PUBLISH, topic=lambda message: message.topic)
    async def publish(connection: Connection, message: Say) -> None:
        user = connection.user or connection.id
        try:
            with handling(message.type):
                at = await rooms.say(message.topic, user, message.data, once=message.id)
        except BrokerUnavailableError:
            raise Refused("unavailable", UNAVAILABLE) from None
        except IdReusedError:
            raise Refused("id_reused", "another message had this `id`") from None
        connection.send(encode("ok", ref=message.id, at=str(at)))

    @router.open_to_all(Unsubscribe)
    def unsubscribe(connection: Connection, message: Unsubscribe) -> None:
        rooms.leave(connection, message.topic)
        connection.send(encode("ok", ref=message.id))

    @router.open_to_all(Ping)
    def ping(connection: Connection, message: Ping) -> None:
        connection.send(encode("pong", ref=message.id))

    @router.open_to_all(Pong)
    def pong(connection: Connection, message: Pong) -> None:
        """Do nothing: the session has already noted the sign of life."""
