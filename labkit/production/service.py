"""Everything one process of the service consists of, made once and put together.

The rooms do the work; here is who knows whom. What needs no server is made at once, what talks to
Valkey in the lifespan. Without `redis_url` the process starts a Valkey of its own, which is right
for one process alone: a worker among several refuses, since each would talk to itself.

Chapter 12.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.requests import HTTPConnection

from labkit.auth import Access, Action, Gate, GuardedManager, GuardedRouter, Live, Tokens
from labkit.auth.gate import COOKIE, Verify, bearer, cookie
from labkit.auth.renewal import add_renewal
from labkit.auth.tickets import ValkeyTickets
from labkit.connections import Capacity, Drain, IdleTimeout, drain_on_signal
from labkit.monitoring import Check, Health, Metrics, json_logs
from labkit.production.cluster import connect
from labkit.production.distributed import SharedTopics
from labkit.production.log import TopicLog
from labkit.production.presence import PRESENCE, SharedPresence
from labkit.production.rooms import Rooms, add_rooms
from labkit.production.settings import BadSettings, Settings
from labkit.production.worker import end_with_the_supervisor, has_supervisor, owns_the_process
from labkit.security import Budget, Rate, WhenDown
from labkit.sse import Position, Subscription
from labkit.sse.stream import StreamOptions
from labkit.testing.valkey import ValkeyServer
from labkit.websocket import Heartbeat, Limits

logger = logging.getLogger(__name__)

TYPES = ("subscribe", "unsubscribe", "publish", "ping", "pong", "renew", "event")
KEYS = "labkit:"
WITHDRAWN = "withdrawn"
"""The topic of withdrawn tokens. It is kept as long as any token lives, for workers to come."""
MAX_WITHDRAWN = 10_000
PLAIN_COOKIE = "labkit-session"
"""Without TLS there is no `__Host-`: for this machine."""


class Service:
    """One process. `lifespan` is the application's.

    Attributes:
        settings: never change.
        drain: how it ends; `metrics`, `health`: how it is.
        tokens, live, access, gate: who comes in, for how long, and what they may do.
        manager: its WebSockets.
        router: what their messages mean; there during `lifespan`, as all that follows.
        topics, presence, rooms, tickets, logins, posts: what it shares with other processes.
    """

    topics: SharedTopics
    presence: SharedPresence
    rooms: Rooms
    router: GuardedRouter
    tickets: ValkeyTickets
    logins: Budget
    posts: Budget

    def __init__(self, settings: Settings) -> None:
        if has_supervisor() and (settings.redis_url is None or settings.secret is None):
            raise BadSettings(["many workers need one LABKIT_REDIS_URL and one LABKIT_SECRET"])
        self.settings = settings
        self.tokens = Tokens(
            _keys(settings), issuer="labkit", audience="labkit", max_lifetime_s=settings.token_s
        )
        self.live = Live(remember_s=settings.token_s)
        self.access = Access(on_withdraw=self.live.recheck)
        self.access.allow(None, Action.LISTEN, "room:*")
        self.access.allow(None, Action.PUBLISH, "room:*")
        self.access.allow(None, Action.LISTEN, "user:{user}")
        self.gate = Gate(self.live, timeout_s=settings.redis_timeout_s)
        self.manager = GuardedManager(self.access, max_topics=settings.max_topics)
        self.idle = IdleTimeout(self.manager, timeout_s=settings.idle_timeout_s)
        self.places = Capacity(
            server=settings.max_connections, per_address=settings.max_per_address
        )
        self.users = Capacity(server=settings.max_connections, per_user=settings.max_per_user)
        self.drain = Drain(managers=[self.manager], brokers=[self], settings=settings.drain)
        self.metrics = Metrics(types=TYPES)
        self.health = Health(self._checks())
        self.limits = Limits(
            outbox_items=settings.outbox_items, outbox_bytes=settings.outbox_bytes,
            write_timeout_s=settings.write_timeout_s,
        )  # fmt: skip
        self.stream_options = StreamOptions(
            max_items=settings.outbox_items, max_bytes=settings.outbox_bytes,
            keepalive_s=settings.ping_interval_s, send_timeout_s=settings.write_timeout_s,
        )  # fmt: skip
        self.rate = Rate(per_second=settings.messages_per_s, burst=settings.message_burst)

    def _checks(self) -> dict[str, Check]:
        return {
            "draining": lambda: self.drain.ready,
            "full": lambda: not self.places.full,
            "broker": lambda: self.topics.connected,
            "store": lambda: self._client.ping(),  # noqa: PLW0108 - made later
        }

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The event streams of this process."""
        return self.topics.subscriptions

    def door(self, connection: HTTPConnection) -> tuple[str, Verify]:
        """Return what a client shows, and who can say whose it is.

        A ticket in the address, a token in the header, or our page's cookie.

        Raises:
            ForeignOrigin: a page of another origin sends our cookie.
        """
        if ticket := connection.query_params.get("ticket"):
            return ticket, self.tickets.take
        token = bearer(connection)
        if not token and self.cookie_name(connection) in connection.cookies:
            name = self.cookie_name(connection)
            token = cookie(connection, self.settings.own_origins, name)
        return token, self.tokens.verify

    @staticmethod
    def cookie_name(connection: HTTPConnection) -> str:
        """Return the name of the cookie: the strict one where there is TLS."""
        return COOKIE if connection.url.is_secure else PLAIN_COOKIE

    async def withdraw(self, token_id: str) -> None:
        """Withdraw a token, here at once and at every other process, those to come included.

        Raises:
            BrokerUnavailableError: the others may not know it; here it is done.
        """
        self.live.revoke_token(token_id)
        await self._withdrawals.publish(WITHDRAWN, token_id, once=token_id)

    def _heard(self, topic: str, _at: Position, data: str) -> None:
        if topic == WITHDRAWN:
            self.live.revoke_token(data)

    def _missed(self, topic: str, at: Position) -> None:
        if topic == WITHDRAWN and at.offset:
            logger.warning("withdrawn tokens up to %s may not be known here", at)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Connect, run what runs beside the requests, and take it all down again."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            if owns_the_process():
                stack.enter_context(
                    json_logs(level=logging.getLevelName(settings.log_level.upper()))
                )
            await self._connect(await _address(settings, stack), stack)
            await stack.enter_async_context(self._background())
            if owns_the_process():
                await stack.enter_async_context(drain_on_signal(self.drain))
                stack.enter_context(end_with_the_supervisor())
            yield

    async def _connect(self, url: str, stack: AsyncExitStack) -> None:
        """Make what talks to Valkey; the stack takes it down again."""
        settings = self.settings
        timeout_s = settings.redis_timeout_s
        self._client = connect(url, timeout_s=timeout_s, max_connections=8)
        stack.push_async_callback(self._client.aclose)
        self.tickets = ValkeyTickets(self._client, timeout_s=timeout_s)
        self._withdrawals = TopicLog(
            self._client, max_events=MAX_WITHDRAWN, max_age_s=settings.token_s,
            prefix=KEYS, timeout_s=timeout_s,
        )  # fmt: skip
        self.logins = await stack.enter_async_context(
            Budget(
                url, settings.logins, name="logins", when_down=WhenDown.CLOSED, timeout_s=timeout_s
            )
        )
        self.posts = await stack.enter_async_context(
            Budget(url, settings.posts, name="posts", when_down=WhenDown.OPEN, timeout_s=timeout_s)
        )
        self.topics = await stack.enter_async_context(
            SharedTopics(
                url, max_events=settings.history_events, max_age_s=settings.history_s,
                prefix=KEYS, timeout_s=timeout_s,
            )
        )  # fmt: skip
        self.topics.follow(self._heard, self._missed)
        self.topics.keep(WITHDRAWN)
        publish = self.metrics.publishing(self.manager.publish, "event")
        self.presence = SharedPresence(
            self.manager.publish, self.topics.signal, refresh_s=settings.presence_s
        )
        self.topics.on_signal(PRESENCE, self.presence.hear)
        self.rooms = Rooms(self.manager, self.topics, presence=self.presence, publish=publish)
        self.router = GuardedRouter(None, self.access)
        add_rooms(self.router, self.rooms)
        add_renewal(self.router, self.gate, self.live, self.tokens.verify)

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        every_s, answer_s = self.settings.ping_interval_s, self.settings.ping_timeout_s
        heartbeat = Heartbeat(self.manager, interval_s=every_s, timeout_s=every_s + answer_s)
        async with asyncio.TaskGroup() as group:
            sweepers = (
                self.live.run(), self.idle.run(), heartbeat.run(),
                self.presence.run(), self.presence.gossip(),
            )  # fmt: skip
            tasks = [group.create_task(each) for each in sweepers]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()


def _keys(settings: Settings) -> dict[str, bytes]:
    """Name each key by a hash of it, so that all workers, old and new, mean the same."""
    given = [each.get_secret_value().encode() for each in (settings.secret,) if each]
    given = given or [secrets.token_bytes(32)]
    if settings.previous_secret is not None:
        given.append(settings.previous_secret.get_secret_value().encode())
    return {hashlib.sha256(key).hexdigest()[:8]: key for key in given}


async def _address(settings: Settings, stack: AsyncExitStack) -> str:
    """Return the broker's address; start one for this process alone when none is given."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    server = ValkeyServer()
    stack.push_async_callback(asyncio.to_thread, server.stop)
    await asyncio.to_thread(server.start)
    return server.url
