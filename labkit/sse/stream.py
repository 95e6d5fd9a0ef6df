"""A broker's events as an HTTP response: one subscription, one stream, one way to end.

The promises: what is wrong with the topics is answered before the stream starts; a stream
that has started always ends through the same `finally`, whether the client leaves, stops
reading, or the server goes; keep-alives are comments, no events; a `Last-Event-ID` that means
nothing here is answered with a gap, never with an error, since a browser does not come back
after an error (WHATWG HTML §9.2.2).

Chapter 3. sse-starlette gives the headers, and word of a shutdown (`leaving`). Events go straight
to `send` while it takes them: middleware between here and the server must not wrap `send` in
timeouts or cancel scopes, or has to be passed (`SEND`).
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import HTTPException
from sse_starlette.sse import EventSourceResponse

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.inline import SEND, begin
from labkit.sse.broker import BrokerUnavailableError, check_topics
from labkit.sse.format import Event, comment, encode, encode_silent
from labkit.sse.leaving import Leaving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from labkit.sse.broker import Broker
    from labkit.sse.subscription import Batch, Subscription


@dataclass(slots=True)
class StreamStats:
    """What happened to the streams that share it.

    Attributes:
        open: streams that are open now.
        delivered: events handed to the server's send without a time-out.
        dropped: events that a slow reader did not get.
        timed_out: streams ended because their client stopped reading.
    """

    open: int = 0
    delivered: int = 0
    dropped: int = 0
    timed_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How one stream behaves.

    Attributes:
        max_topics: refuse a stream that asks for more.
        max_items: at most this many events wait for a slow reader.
        max_bytes: at most this many bytes wait for it.
        overflow: what happens beyond that. By default the stream ends, and the client
            resumes from its last event.
        keepalive_s: send a comment after this many seconds without an event. Proxies cut
            silent connections, often after 60 s.
        retry_ms: how long the client waits before it reconnects. A goodbye tells each client
            another value, from one to two times this, so that they do not all come at once.
        send_timeout_s: end the stream when one send takes longer.
        grace_s: time for the goodbye when the server stops. Keep it below the server's own
            `timeout_graceful_shutdown`.
    """

    max_topics: int = 128
    max_items: int = 256
    max_bytes: int = 1 << 20
    overflow: Overflow = Overflow.DISCONNECT
    keepalive_s: float = 15.0
    retry_ms: int = 3000
    send_timeout_s: float = 5.0
    grace_s: float = 1.0

    def backlog(self) -> Backlog[bytes]:
        """Make the backlog of one stream."""
        return Backlog(max_items=self.max_items, max_bytes=self.max_bytes, overflow=self.overflow)


def event_stream(
    request: Request,
    broker: Broker,
    topics: Collection[str],
    *,
    may_subscribe: Callable[[str], bool],
    options: StreamOptions | None = None,
    stats: StreamStats | None = None,
) -> EventSourceResponse:
    """Answer a request with the events of some topics, from its `Last-Event-ID` on.

    Args:
        request: whose `Last-Event-ID` header counts.
        broker: where the events come from.
        topics: what the stream shall carry.
        may_subscribe: asked for each topic; False refuses the stream. There is no default:
            who may listen is a decision, and somebody has to make it.
        options: how it behaves.
        stats: counts for all streams that share it.

    Raises:
        HTTPException: 422, a topic is not valid, or there are none or too many;
            403, a topic is not allowed. The body names the field. If the broker does not
            answer, the response is 503 with `Retry-After`.
    """
    options = options or StreamOptions()
    try:
        checked = check_topics(topics)
    except ValueError as error:
        raise _refusal(422, str(error)) from error
    if len(checked) > options.max_topics:
        raise _refusal(422, f"{len(checked)} topics: ask for at most {options.max_topics}")
    for topic in sorted(checked):
        if not may_subscribe(topic):
            raise _refusal(403, f"you may not read {topic!r}")
    last_event_id = request.headers.get("last-event-id")
    return _EventStream(broker, checked, last_event_id, options, stats or StreamStats())


def _refusal(status: int, error: str) -> HTTPException:
    return HTTPException(status, {"field": "topic", "error": error})


class _EventStream(EventSourceResponse):
    """One stream. It subscribes when the server calls it, so nothing can leak before."""

    def __init__(
        self,
        broker: Broker,
        topics: frozenset[str],
        last_event_id: str | None,
        options: StreamOptions,
        stats: StreamStats,
    ) -> None:
        super().__init__(self._body(), ping=0)  # the body keeps alive by itself
        self._broker = broker
        self._topics = topics
        self._last_event_id = last_event_id
        self._options = options
        self._stats = stats
        self._subscription: Subscription
        self._send: Send
        self._unsent: Awaitable[None] | Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Subscribe, then stream until the end, whatever ends it."""
        try:
            self._subscription = await self._broker.subscribe(
                self._topics, self._last_event_id, backlog=self._options.backlog()
            )
        except BrokerUnavailableError as error:
            retry_after = {"Retry-After": str(max(1, self._options.retry_ms // 1000))}
            detail = "events are not available now: try again later"
            raise HTTPException(503, detail, retry_after) from error
        self._send = scope.get(SEND, send)
        self._stats.open += 1
        try:
            if scope["method"] == "HEAD":
                await super().__call__(scope, receive, send)
            else:
                await self._stream(receive, send)
        finally:
            self._stats.open -= 1
            self._stats.dropped += self._subscription.dropped
            self._subscription.close()

    async def _stream(self, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        body = cast("AsyncGenerator[bytes, None]", self.body_iterator)
        try:
            async with Leaving(receive, self._shutdown, self._options.grace_s), aclosing(body):
                await send({"type": "http.response.start", **start})
                async for wire in body:
                    async with asyncio.timeout(self._options.send_timeout_s):
                        await send({"type": "http.response.body", "body": wire, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:  # of a send, here or in `_finish`
            self._stats.timed_out += 1
        else:
            if self.background is not None:
                await self.background()

    async def _body(self) -> AsyncIterator[bytes]:
        subscription, options = self._subscription, self._options
        yield encode_silent(retry_ms=options.retry_ms)
        while subscription.ended is None:
            woken = await subscription.wait(options.keepalive_s, self._write)
            if self._unsent is not None:
                await self._finish(self._unsent)
            elif woken:
                batch = subscription.take()
                yield batch.wire
                self._stats.delivered += batch.events
            else:
                yield self._keepalive()
        batch = subscription.take()
        yield batch.wire + self._goodbye(subscription.ended)
        self._stats.delivered += batch.events

    def _write(self, batch: Batch) -> bool:
        """Send a turn's events while the body sleeps; False when it has to wake up.

        A server's `send` does not wait while its transport takes the bytes, so a client that
        reads costs no wake-up. What does wait is the body's to finish.
        """
        try:
            self._unsent = begin(self._send_batch(batch))
        except Exception as error:  # noqa: BLE001 (the body raises it)
            self._unsent = error
        return self._unsent is None

    async def _send_batch(self, batch: Batch) -> None:
        await self._send({"type": "http.response.body", "body": batch.wire, "more_body": True})
        self._stats.delivered += batch.events

    async def _finish(self, unsent: Awaitable[None] | Exception) -> None:
        self._unsent = None
        if isinstance(unsent, Exception):
            raise unsent
        async with asyncio.timeout(self._options.send_timeout_s):
            await unsent

    def _keepalive(self) -> bytes:
        """Keep the connection and the client's position alive.

        With nothing waiting, the client has all its topics up to now. Telling it so keeps its
        position young while other topics push the history on. Cut off from the broker, it may
        have missed something that only the gap will tell: then its position stays.
        """
        if not self._broker.connected:
            return comment("keep-alive")
        return comment("keep-alive") + encode_silent(event_id=str(self._broker.position))

    def _goodbye(self, reason: str) -> bytes:
        retry_ms = round(self._options.retry_ms * random.uniform(1, 2))  # noqa: S311 (spreads clients, hides nothing)
        return encode(Event(json.dumps({"reason": reason}), "goodbye", retry_ms=retry_ms))

    def _shutdown(self) -> None:
        self._subscription.end("shutdown")
