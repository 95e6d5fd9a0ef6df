"""An event stream that ends with the credentials that opened it.

It is chapter 3's stream, held by a lease: whoever's token expires or is withdrawn reads
`event: goodbye` with the reason, and the response ends as it should. The topics are allowed when
the stream starts, and again whenever a permission is withdrawn.

Chapter 5. Nothing is borrowed from a pool for as long as a stream lasts: check, give back, then
stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labkit.architecture.backlog import Backlog
from labkit.auth.access import Access, Action
from labkit.auth.live import End, Lease, Live
from labkit.auth.tokens import Identity
from labkit.sse.broker import Broker
from labkit.sse.history import Position
from labkit.sse.stream import StreamOptions, StreamStats, event_stream
from labkit.sse.subscription import Subscription


def guarded_stream(
    request: Request,
    broker: Broker,
    topics: Collection[str],
    *,
    identity: Identity,
    live: Live,
    access: Access,
    options: StreamOptions | None = None,
    stats: StreamStats | None = None,
) -> Response:
    """Answer a request with the events of some topics, for as long as `identity` may read them.

    Args:
        request: whose `Last-Event-ID` header counts.
        broker: where the events come from.
        topics: what the stream shall carry.
        identity: who asks, from a verified token: never from the path.
        live: ends the stream with the token.
        access: says what the user may listen to.
        options: how the stream behaves.
        stats: counts for all streams that share it.

    Raises:
        HTTPException: see `event_stream`.
    """
    leased = _Leased(broker)

    def may_subscribe(topic: str) -> bool:
        return access.ask(identity.user, Action.LISTEN, topic)

    def still_allowed() -> bool:
        return all(access.may(identity.user, Action.LISTEN, topic) for topic in topics)

    stream = event_stream(
        request, leased, topics, may_subscribe=may_subscribe, options=options, stats=stats
    )
    return _LeasedStream(stream, leased, identity, live, still_allowed)


class _Leased:
    """A broker for one stream, which remembers the subscription that it hands out."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.lease: Lease | None = None

    @property
    def connected(self) -> bool:
        return self._broker.connected

    @property
    def position(self) -> Position:
        return self._broker.position

    @property
    def subscriptions(self) -> Collection[Subscription]:
        return self._broker.subscriptions

    async def publish(self, topic: str, data: str, event: str | None = None) -> None:
        await self._broker.publish(topic, data, event)

    async def subscribe(
        self,
        topics: Collection[str],
        last_event_id: str | None = None,
        *,
        backlog: Backlog[bytes] | None = None,
    ) -> Subscription:
        subscription = await self._broker.subscribe(topics, last_event_id, backlog=backlog)

        def end(why: End) -> None:
            subscription.end(why.reason)

        if self.lease is not None:
            self.lease.when_ended(end)
        return subscription


class _LeasedStream(Response):
    """The response of a stream, held by a lease while the server runs it."""

    def __init__(
        self,
        stream: Response,
        broker: _Leased,
        identity: Identity,
        live: Live,
        allowed: Callable[[], bool],
    ) -> None:
        self.background = None
        self.raw_headers = stream.raw_headers
        self.status_code = stream.status_code
        self._stream = stream
        self._broker = broker
        self._identity = identity
        self._live = live
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client leaves or the lease ends."""
        with self._live.lease(self._identity) as lease:
            lease.allowed = self._allowed
            self._broker.lease = lease
            self._stream.background = self.background
            await self._stream(scope, receive, send)
