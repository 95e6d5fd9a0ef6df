"""One shared topic as a broker of room 3, for the event streams of rooms 3 and 5.

Chapter 12. One topic, since a client's `Last-Event-ID` is one position.
"""

from __future__ import annotations

from collections.abc import Collection

from labkit.architecture.backlog import Backlog
from labkit.production.distributed import SharedTopics
from labkit.sse.broker import check_topics
from labkit.sse.history import Position
from labkit.sse.subscription import Subscription


class TopicBroker:
    """See `labkit.sse.Broker`; its streams resume at any worker.

    Args:
        topics: the service's.
        topic: which of them.
    """

    def __init__(self, topics: SharedTopics, topic: str) -> None:
        self._topics = topics
        self._topic = topic

    @property
    def connected(self) -> bool:
        """Whether an event published now would reach this process."""
        return self._topics.is_current(self._topic)

    @property
    def position(self) -> Position:
        """Where the topic stands now, while somebody holds it."""
        return self._topics.mirror(self._topic).position

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live streams of this process."""
        return self._topics.subscriptions

    async def publish(self, topic: str, data: str, event: str | None = None) -> None:
        """See `TopicLog.publish`."""
        await self._topics.log.publish(self._only([topic]), data, event)

    async def subscribe(
        self,
        topics: Collection[str],
        last_event_id: str | None = None,
        *,
        backlog: Backlog[bytes] | None = None,
    ) -> Subscription:
        """See `Broker.subscribe`."""
        hub = (await self._topics.hold(self._only(topics))).hub
        # No await from here on: what is recovered and what follows have no seam.
        recovery = hub.history.since(last_event_id) if last_event_id else None
        return hub.attach(frozenset({self._topic}), recovery, backlog)

    def _only(self, topics: Collection[str]) -> str:
        if check_topics(topics) != {self._topic}:
            raise ValueError(f"topic: this broker has {self._topic!r} alone")
        return self._topic
