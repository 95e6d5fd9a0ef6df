"""Topics that many workers share: published once, numbered for all, recovered at any of them.

Room 3's `ValkeyBroker` numbers events in each process. Here the server numbers them (`log`), so a
position is the same at every worker, and a client may come back to another one.

Each process mirrors the topics that it wants: by room 3's reader (one connection, reconnected for
ever, topics counted by who holds them) into room 3's histories. A message is taken when its number
is the next. Anything else, and every reconnection, says only that the mirror is behind: then it is
read up from the Stream. So the promises are:

    - In order within a topic, each event once, as long as the Stream reaches back. A connection
      that broke, a server that hung, a subscriber that the server cut off: nothing is missing.
    - What the Stream does not have is told as a gap: a server that came back empty, events that
      were trimmed, entries that make no sense. No position from before it counts.
    - `publish` returns when the server has it. If it raises, repeat it with the same `once`.
    - Nothing waits without a deadline. A full server refuses new events; who listens stays.

Chapter 12. A stream carries one topic, since a client's `Last-Event-ID` is one position.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Self

from labkit.production.cluster import connect
from labkit.production.log import TopicLog
from labkit.production.mirror import Heard, Mirror, Missed
from labkit.sse.broker import BrokerUnavailableError, check_topic
from labkit.sse.history import History, Position
from labkit.sse.reader import ChannelReader, backoff_s
from labkit.sse.subscription import Subscription

logger = logging.getLogger(__name__)


class SharedTopics:
    """The topics of a service, as one process sees them.

    Use it as `async with SharedTopics(url) as topics:`. A server may be down at the start.

    Args:
        url: see `connect`; the same for all processes.
        max_events: kept of each topic, by the server and by each process that mirrors it.
        max_age_s: they are kept this long after the topic's last one, in seconds.
        prefix: put before each key and channel: two services may share a server.
        timeout_s: for connecting, for a command, for holding a topic, in seconds.
        health_s, linger_s, backoff: see `ChannelReader`.
        max_connections: of this process: one reads, the others send commands.

    Attributes:
        connected: whether the reader hears everything it wants.
        log: where events are published.
    """

    def __init__(
        self,
        url: str,
        *,
        max_events: int = 100,
        max_age_s: float = 300.0,
        prefix: str = "labkit:",
        timeout_s: float = 5.0,
        health_s: float = 10.0,
        linger_s: float = 30.0,
        max_connections: int = 8,
        backoff: Callable[[int], float] = backoff_s,
    ) -> None:
        self.connected = False
        self._client = connect(url, timeout_s=timeout_s, max_connections=max_connections)
        self.log = TopicLog(
            self._client, max_events=max_events, max_age_s=max_age_s, prefix=prefix,
            timeout_s=timeout_s,
        )  # fmt: skip
        self._reader = ChannelReader(
            self._client, self, timeout_s=timeout_s, health_s=health_s, linger_s=linger_s,
            backoff=backoff,
        )  # fmt: skip
        self._new_history = partial(History, max_events=max_events, max_age_s=max_age_s)
        self._prefix, self._timeout_s, self._backoff = prefix, timeout_s, backoff
        self._mirrors: dict[str, Mirror] = {}
        self._behind: dict[str, None] = {}  # topics to read up, in the order they fell behind
        self._work, self._changed = asyncio.Event(), asyncio.Event()
        self._signals: dict[str, Callable[[bytes], None]] = {}
        self._followers: list[tuple[Heard, Missed]] = []
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live subscriptions of this process, of all topics: what a drain ends."""
        return [each for mirror in self._mirrors.values() for each in mirror.hub.subscriptions]

    def follow(self, heard: Heard, missed: Missed) -> None:
        """Have plain functions called for each event and each gap of every topic held here."""
        self._followers.append((heard, missed))

    def on_signal(self, name: str, hear: Callable[[bytes], None]) -> None:
        """Call `hear` for each signal of that name, from any process, this one included."""
        channel = f"{self._prefix}signal:{name}"
        self._signals[channel] = hear
        self._reader.want([channel])

    async def signal(self, name: str, payload: str) -> None:
        """Tell every process that is connected now: at most once, and nothing is kept.

        Raises:
            BrokerUnavailableError: the server is down.
        """
        await self.log.tell(f"{self._prefix}signal:{name}", payload)

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._tasks = [
            self._group.create_task(self._reader.run(), name="shared topics: reader"),
            self._group.create_task(self._catch_up(), name="shared topics: catch up"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every subscription, leave the server, wait for the tasks' end."""
        for subscription in self.subscriptions:
            subscription.end("broker closed")
        group, self._group, self.connected = self._group, None, False
        self._reader.close()
        for task in self._tasks:
            task.cancel()
        if group is not None:
            await group.__aexit__(None, None, None)  # an error goes on as it is
        await self._client.aclose()

    def keep(self, topic: str) -> None:
        """Mirror a topic for good, from when the server is there: for those who `follow`."""
        self._reader.want([self.log.channel(check_topic(topic))])

    async def hold(self, topic: str) -> Mirror:
        """Mirror a topic until `release`; returns the mirror when it is up to date.

        What follows without an await is in one turn with it: nothing is missed in between.

        Raises:
            ValueError: the topic is not valid.
            BrokerUnavailableError: the server did not confirm in time.
        """
        if self._group is None:
            raise RuntimeError("topics are not running: use 'async with SharedTopics(…)'")
        self.keep(topic)
        try:
            async with asyncio.timeout(self._timeout_s):
                while not self.is_current(topic):
                    await self._changed.wait()
        except BaseException as error:
            self.release(topic)
            if not isinstance(error, TimeoutError):
                raise
            told = f"the broker did not confirm the topic within {self._timeout_s} s"
            raise BrokerUnavailableError(told) from None
        return self._mirrors[topic]

    def release(self, topic: str) -> None:
        """Give a topic back, once for each `hold`."""
        if self._group is not None:
            self._reader.unwant([self.log.channel(topic)])

    def is_current(self, topic: str) -> bool:
        """Whether the mirror of a topic has all that was published."""
        return topic in self._mirrors and self._mirrors[topic].current

    def mirror(self, topic: str) -> Mirror:
        """Return the mirror of a topic that somebody holds."""
        return self._mirrors[topic]

    def joined(self, channel: str) -> None:
        """Read up a topic that is heard from here on (called by the reader)."""
        if channel in self._signals:
            return
        topic = self.log.topic(channel)
        if topic not in self._mirrors:
            self._mirrors[topic] = Mirror(
                topic, self._new_history(), closed=self.release, heard=self._heard,
                missed=self._missed,
            )  # fmt: skip
        self._mirrors[topic].joined = True
        self._fall_behind(topic)

    def left(self, channel: str) -> None:
        """Forget the mirror of a topic that nobody holds (called by the reader)."""
        self._mirrors.pop(self.log.topic(channel), None)

    def ready(self) -> None:
        """Note that everything wanted is heard (called by the reader)."""
        self.connected = True
        for topic, mirror in tuple(self._mirrors.items()):
            if not mirror.joined:  # given back while nothing was heard
                del self._mirrors[topic]

    def lost(self) -> None:
        """Note that nothing is heard; the mirrors stay, to be read up (called by the reader)."""
        self.connected = False
        for mirror in self._mirrors.values():
            mirror.joined = mirror.current = False

    def received(self, channel: str, payload: bytes) -> None:
        """Take a message that is the next; any other says that we are behind (reader)."""
        if channel in self._signals:
            self._signals[channel](payload)
        elif not self._mirrors[self.log.topic(channel)].offer(payload):
            self._fall_behind(self.log.topic(channel))

    def _heard(self, topic: str, at: Position, data: str) -> None:
        for heard, _ in self._followers:
            heard(topic, at, data)

    def _missed(self, topic: str, at: Position) -> None:
        for _, missed in self._followers:
            missed(topic, at)

    def _fall_behind(self, topic: str) -> None:
        self._behind[topic] = None
        self._work.set()

    async def _catch_up(self) -> None:
        """Read up what is behind, until cancelled."""
        failures = 0
        while True:
            await self._work.wait()
            self._work.clear()
            for topic in tuple(self._behind):
                del self._behind[topic]
                if (mirror := self._mirrors.get(topic)) is None:
                    continue
                try:
                    kept = await self.log.read(topic, mirror.position)
                except BrokerUnavailableError as error:
                    logger.debug("cannot read %r: %s", topic, error)
                    self._fall_behind(topic)
                    await asyncio.sleep(self._backoff(failures))
                    failures += 1
                    continue
                failures = 0
                mirror.catch_up(kept)
                if topic not in self._behind:  # nothing has come in meanwhile
                    mirror.current = mirror.joined
                self._changed.set()
                self._changed = asyncio.Event()
