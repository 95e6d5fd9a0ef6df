"""A broker over many processes: Valkey's (or Redis's) pub/sub behind the contract of `Broker`.

The promises: one reading connection a process, however many streams; a subscription starts
when the server has confirmed its topics; after an outage every stream is told that it may
have missed something. Pub/sub is at most once: what was published while a process was cut
off is gone, and this says so.

Chapter 3. Positions are those of one process: a client that resumes at another one gets a
gap. Chapter 12 replays from Streams, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Self

from redis.exceptions import RedisError

from labkit.sse.broker import (
    BrokerUnavailableError,
    Hub,
    check_event,
    check_topic,
    check_topics,
)
from labkit.sse.history import GapReason, Recovered, Reset
from labkit.sse.reader import ChannelReader, backoff_s, patient_client

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from labkit.architecture.backlog import Backlog
    from labkit.sse.history import History, Position
    from labkit.sse.subscription import Subscription

logger = logging.getLogger(__name__)


def read_message(payload: bytes) -> tuple[str, str | None]:
    """Read data and event type of a message that somebody published.

    Raises:
        ValueError: it is not what `ValkeyBroker.publish` sends.
    """
    try:
        message = json.loads(payload)
    except RecursionError:
        raise ValueError("too many brackets") from None
    if not isinstance(message, dict):
        raise ValueError(f"a JSON object is expected, not {type(message).__name__}")  # noqa: TRY004 (whatever is wrong with it, a poison message is one error)
    data, event = message.get("data"), message.get("event")
    if not isinstance(data, str) or not isinstance(event, str | None):
        raise ValueError("data must be text, and event text or null")  # noqa: TRY004 (see above)
    check_event(data, event)
    return data, event


class ValkeyBroker:
    """A broker whose events reach every process that is connected to the same server.

    Use it as `async with ValkeyBroker(url) as broker:`. A server that is down at the start is
    no error: `connected` is false until it is there.

    Args:
        url: `redis://host:port`.
        history: the ring for replay; by default 100 events and 5 minutes.
        prefix: put before each topic to make the channel's name.
        timeout_s: for connecting, for a command, for the confirmation of topics, in seconds.
        health_s: ping the server this often; silence for as long again counts as an outage.
        linger_s: hear a topic this long after its last stream left, in seconds, so that a
            client that comes back soon has missed nothing.
        max_connections: of this process: one reads, the others publish.
        backoff: seconds to wait before reconnection attempt 0, 1, 2, ….

    Attributes:
        connected: whether all wanted topics are being heard.
        poison: how many messages were skipped because they made no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        history: History | None = None,
        prefix: str = "sse:",
        timeout_s: float = 5.0,
        health_s: float = 10.0,
        linger_s: float = 30.0,
        max_connections: int = 8,
        backoff: Callable[[int], float] = backoff_s,
    ) -> None:
        self.connected = False
        self.poison = 0
        self._client = patient_client(url, timeout_s=timeout_s, max_connections=max_connections)
        self._reader = ChannelReader(
            self._client,
            self,
            timeout_s=timeout_s,
            health_s=health_s,
            linger_s=linger_s,
            backoff=backoff,
        )
        self._hub = Hub(history, self._release)
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._heard: dict[str, int] = {}  # topic: the offset since which nothing was missed
        self._heard_changed = asyncio.Event()
        self._cut_off: set[Subscription] = set()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def position(self) -> Position:
        """Where this process's history stands now."""
        return self._hub.history.position

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live subscriptions of this process."""
        return self._hub.subscriptions

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._reader.run(), name="sse broker reader")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every subscription, leave the server, wait for the reader's end."""
        for subscription in self.subscriptions:
            subscription.end("broker closed")
        supervisor, self._supervisor = self._supervisor, None
        self._reader.close()
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait({supervisor})
        self.connected = False
        await self._client.aclose()

    async def publish(self, topic: str, data: str, event: str | None = None) -> None:
        """See `Broker.publish`. Waits for the server's answer."""
        check_event(data, event)
        payload = json.dumps({"event": event, "data": data})
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.publish(self._prefix + check_topic(topic), payload)
        except (RedisError, OSError) as error:
            raise BrokerUnavailableError(
                f"the broker did not confirm the event on {topic!r} ({error or 'time-out'}): "
                "publish it again if it may arrive twice"
            ) from error

    async def subscribe(
        self,
        topics: Collection[str],
        last_event_id: str | None = None,
        *,
        backlog: Backlog[bytes] | None = None,
    ) -> Subscription:
        """See `Broker.subscribe`. Waits until the server has confirmed the topics."""
        if self._supervisor is None:
            raise RuntimeError("the broker is not running: use 'async with ValkeyBroker(…)'")
        checked = check_topics(topics)
        self._reader.want(self._prefix + topic for topic in checked)
        try:
            async with asyncio.timeout(self._timeout_s):
                while not checked <= self._heard.keys():
                    await self._heard_changed.wait()
            # No await from here on: the snapshot and the registration are one turn.
            return self._hub.attach(checked, self._since(checked, last_event_id), backlog)
        except TimeoutError:
            self._release(checked)
            raise BrokerUnavailableError(
                f"the broker did not confirm the topics within {self._timeout_s} s"
            ) from None
        except BaseException:
            self._release(checked)
            raise

    def _since(self, topics: Iterable[str], last_event_id: str | None) -> Recovered | Reset | None:
        if not last_event_id:
            return None
        recovery = self._hub.history.since(last_event_id)
        if isinstance(recovery, Recovered):
            offset = recovery.position.offset
            if any(self._heard[topic] > offset for topic in topics):
                return Reset(GapReason.NOT_HEARD)
        return recovery

    def _release(self, topics: Iterable[str]) -> None:
        if self._supervisor is not None:
            self._reader.unwant(self._prefix + topic for topic in topics)

    def joined(self, channel: str) -> None:
        """Note since when a topic is heard (called by the reader)."""
        self._heard[channel.removeprefix(self._prefix)] = self.position.offset
        self._heard_changed.set()
        self._heard_changed = asyncio.Event()

    def left(self, channel: str) -> None:
        """Note that a topic is not heard any more (called by the reader)."""
        self._heard.pop(channel.removeprefix(self._prefix), None)

    def received(self, channel: str, payload: bytes) -> None:
        """Hand out a message, or skip it if it makes no sense (called by the reader)."""
        topic = channel.removeprefix(self._prefix)
        try:
            data, event = read_message(payload)
        except ValueError as error:
            self.poison += 1
            logger.warning("skipped a message on %r: %s", topic, error)
            return
        if topic in self._heard:
            self._hub.dispatch(topic, data, event)

    def ready(self) -> None:
        """Tell every stream that was cut off (called by the reader)."""
        self.connected = True
        cut_off, self._cut_off = self._cut_off, set()
        self._hub.tell_gap(GapReason.BROKER_LOST, cut_off)

    def lost(self) -> None:
        """Begin a new epoch: no position from before the outage counts (called by the reader)."""
        self.connected = False
        self._heard.clear()
        self._hub.history.restart()
        self._cut_off.update(self._hub.subscriptions)
