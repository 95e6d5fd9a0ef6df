"""Topics in, streams out: the contract of a broker, and the one that lives in memory.

The promises: replay goes over into live events without a seam (the snapshot of the history
and the registration happen in one turn of the loop); publishing waits for no reader; topics
are reference-counted, so nothing is kept for topics that nobody wants.

Chapter 3. `labkit.sse.valkey` keeps the same contract over many processes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from labkit.architecture.backlog import Backlog
from labkit.architecture.inline import Turn
from labkit.sse.format import Event, encode
from labkit.sse.history import GapReason, History, Recovered, Reset
from labkit.sse.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from labkit.sse.history import Position

MAX_TOPIC_CHARS = 255
MAX_EVENT_BYTES = 64 * 1024


class BrokerUnavailableError(Exception):
    """The broker did not answer: the event may not have been sent, the topic not be heard."""


class Broker(Protocol):
    """Takes events from publishers and hands them to subscriptions. At most once, in order."""

    @property
    def connected(self) -> bool:
        """Whether an event published now would reach this process."""
        ...

    @property
    def position(self) -> Position:
        """Where this process's history stands now."""
        ...

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live subscriptions of this process: what a drain ends."""
        ...

    async def publish(self, topic: str, data: str, event: str | None = None) -> None:
        """Send an event to everyone who wants the topic.

        Raises:
            ValueError: the topic or the event is not valid; the message names the field.
            BrokerUnavailableError: the broker is down.
        """
        ...

    async def subscribe(
        self,
        topics: Collection[str],
        last_event_id: str | None = None,
        *,
        backlog: Backlog[bytes] | None = None,
    ) -> Subscription:
        """Register a stream, from now on or from the position that its client sent.

        Args:
            topics: one or more.
            last_event_id: as the client sent it; anything unknown starts with a gap.
            backlog: what may wait for a slow reader; by default 256 events and 1 MiB, then
                the stream ends.

        Raises:
            ValueError: a topic is not valid, or there is none.
            BrokerUnavailableError: the broker did not confirm in time.
        """
        ...


def check_topic(topic: str) -> str:
    """Give the topic back if it is a name that every broker and log can hold.

    Raises:
        ValueError: it is empty, too long, or has characters that do not print.
    """
    if not isinstance(topic, str) or not topic:
        raise ValueError("topic is empty: name at least one")
    if len(topic) > MAX_TOPIC_CHARS:
        raise ValueError(f"topic has {len(topic)} characters: at most {MAX_TOPIC_CHARS}")
    if not topic.isprintable():
        raise ValueError(f"topic {topic!r} has characters that do not print: remove them")
    return topic


def check_topics(topics: Collection[str]) -> frozenset[str]:
    """Check each topic, and that there is one.

    Raises:
        ValueError: a topic is not valid, or there is none.
    """
    if isinstance(topics, str):
        raise ValueError(f"topics is one text, {topics[:40]!r}: give a list of topics")  # noqa: TRY004 (one error type for every field)
    checked = frozenset(map(check_topic, topics))
    if not checked:
        raise ValueError("topic is missing: name at least one")
    return checked


def check_event(data: str, event: str | None) -> None:
    """Check an event before it leaves for anywhere.

    Raises:
        ValueError: it cannot be told on the wire, or it is too large.
    """
    size = len(encode(Event(data, event)))
    if size > MAX_EVENT_BYTES:
        raise ValueError(f"data makes an event of {size} bytes: at most {MAX_EVENT_BYTES}")


class Hub:
    """The part of a broker inside one process: one history, and who wants which topic.

    Args:
        history: the ring for replay; by default 100 events and 5 minutes.
        left: called with the topics of a subscription that has left.
    """

    def __init__(
        self,
        history: History | None = None,
        left: Callable[[frozenset[str]], None] = lambda _topics: None,
    ) -> None:
        self.history = history or History()
        self.subscriptions: set[Subscription] = set()
        self._wants: dict[str, set[Subscription]] = {}
        self._left = left

    def attach(
        self,
        topics: frozenset[str],
        recovery: Recovered | Reset | None,
        backlog: Backlog[bytes] | None,
    ) -> Subscription:
        """Register a subscription. With `history.since` in the same turn there is no seam."""
        backlog = Backlog() if backlog is None else backlog  # an empty one is false
        subscription = Subscription(topics, backlog, self._detach)
        subscription.open_at(self.history.position, recovery)
        self.subscriptions.add(subscription)
        for topic in topics:
            self._wants.setdefault(topic, set()).add(subscription)
        return subscription

    def _detach(self, subscription: Subscription) -> None:
        self.subscriptions.discard(subscription)
        for topic in subscription.topics:
            self._wants[topic].discard(subscription)
            if not self._wants[topic]:
                del self._wants[topic]
        self._left(subscription.topics)

    def dispatch(self, topic: str, data: str, event: str | None) -> None:
        """Keep an event and hand it to everyone who wants it: one encoding for all."""
        entry = self.history.append(topic, data, event)
        audience = tuple(self._wants.get(topic, ()))
        if audience:
            Turn.of(asyncio.get_running_loop()).say(audience, entry, len(entry.wire))

    def tell_gap(self, reason: GapReason, subscriptions: Collection[Subscription]) -> None:
        """Tell these subscriptions that something may be missing from here on."""
        for subscription in subscriptions:
            subscription.put_gap(reason, self.history.position)


class MemoryBroker:
    """A broker for one process. Nothing survives it, and nothing can cut it off.

    Args:
        history: the ring for replay; by default 100 events and 5 minutes.
    """

    connected = True

    def __init__(self, history: History | None = None) -> None:
        self._hub = Hub(history)

    @property
    def position(self) -> Position:
        """Where the history stands now."""
        return self._hub.history.position

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live subscriptions."""
        return self._hub.subscriptions

    async def publish(self, topic: str, data: str, event: str | None = None) -> None:
        """See `Broker.publish`. Never waits."""
        check_event(data, event)
        self._hub.dispatch(check_topic(topic), data, event)

    async def subscribe(
        self,
        topics: Collection[str],
        last_event_id: str | None = None,
        *,
        backlog: Backlog[bytes] | None = None,
    ) -> Subscription:
        """See `Broker.subscribe`. Never waits."""
        checked = check_topics(topics)
        recovery = self._hub.history.since(last_event_id) if last_event_id else None
        return self._hub.attach(checked, recovery, backlog)
