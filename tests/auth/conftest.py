"""A service with every door on a real server, and tokens of every kind."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import jwt
import pytest
from fastapi import FastAPI, Request, WebSocket
from redis.asyncio import Redis

from labkit.auth import (
    Access,
    Action,
    ForeignOrigin,
    Gate,
    GuardedManager,
    GuardedRouter,
    Live,
    MemoryTickets,
    Tokens,
    ValkeyTickets,
    add_renewal,
    bearer,
    cookie,
    guarded_stream,
    subprotocol_token,
)
from labkit.sse import MemoryBroker
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until
from labkit.websocket import Session
from labkit.workbench.secrets import Recorder

KEY = b"k" * 32
NOW_S = 1_000_000.0
DEADLINE_S = 5.0


def forge(key=KEY, alg="HS256", kid="now", now_s=NOW_S, **claims):
    """Sign any claims; None leaves a claim out."""
    claims = {
        "sub": "ada",
        "jti": "t1",
        "iat": now_s,
        "exp": now_s + 60,
        "iss": "lab",
        "aud": "realtime",
    } | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, alg, {"kid": kid})


def unsigned(now_s=NOW_S):
    """Make a token that says of itself that it needs no signature."""
    body = forge(now_s=now_s).split(".")[1]
    header = json.dumps({"alg": "none", "typ": "JWT", "kid": "now"}).encode()
    return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{body}."


class Service:
    """Five doors, one room and one stream, on a clock that stands still."""

    def __init__(self, *, timeout_s=0.5, clock=None, tick_s=0.2):
        self.clock = clock or ManualClock(NOW_S)
        self.tokens = Tokens({"now": KEY}, issuer="lab", audience="realtime", clock=self.clock)
        self.live = Live(clock=self.clock, tick_s=tick_s)
        self.gate = Gate(self.live, timeout_s=timeout_s)
        self.tickets = MemoryTickets(clock=self.clock)
        self.access = Access(on_withdraw=self.live.recheck)
        self.access.allow(None, Action.LISTEN, "news")
        self.access.allow(None, Action.LISTEN, "user:{user}:*")
        self.manager = GuardedManager(self.access)
        self.router = GuardedRouter(self.manager, self.access)
        self.broker = MemoryBroker()
        self.endings = []
        self.clients = []
        self.down = False
        add_renewal(self.router, self.gate, self.live, self.verify)
        self.app = FastAPI()
        self.server = LiveServer(self.app)
        self._doors()

    def token(self, user="ada", lifetime_s=60):
        return self.tokens.issue(user, lifetime_s=lifetime_s)

    def verify(self, token):
        if self.down:
            raise ConnectionError(f"postgresql://app:hunter2@db refused, token was {token}")
        return self.tokens.verify(token)

    async def converse(self, websocket, identity):
        if identity is None:
            return
        with self.live.lease(identity) as lease:
            session = Session(
                websocket=websocket,
                manager=self.manager,
                on_text=self.router,
                user=identity.user,
                on_open=lease.hold,
            )
            self.endings.append(await session.run())

    def origins(self):
        return {self.server.url}

    def _doors(self):
        app, gate = self.app, self.gate

        @app.post("/tickets")
        async def make_ticket(request: Request):
            identity = await gate.http(bearer(request), self.verify)
            return {"ticket": await self.tickets.issue(identity)}

        @app.websocket("/header")
        async def by_header(websocket: WebSocket):
            identity = await gate.http(bearer(websocket), self.verify)
            await websocket.accept()
            await self.converse(websocket, identity)

        @app.websocket("/ticket")
        async def by_ticket(websocket: WebSocket, ticket: str = ""):
            identity = await gate.websocket(websocket, ticket, self.tickets.take)
            await self.converse(websocket, identity)

        @app.websocket("/first")
        async def by_first_message(websocket: WebSocket):
            await self.converse(websocket, await gate.first_message(websocket, self.verify))

        @app.websocket("/proto")
        async def by_subprotocol(websocket: WebSocket):
            shown = subprotocol_token(websocket)
            identity = await gate.websocket(websocket, shown, self.verify, subprotocol="app.v1")
            await self.converse(websocket, identity)

        @app.websocket("/cookie")
        async def by_cookie(websocket: WebSocket):
            try:
                shown = cookie(websocket, self.origins())
            except ForeignOrigin:
                raise gate.foreign() from None
            await self.converse(websocket, await gate.websocket(websocket, shown, self.verify))

        @app.get("/events/{topic}")
        async def events(request: Request, topic: str):
            try:
                shown = bearer(request) or cookie(request, self.origins())
            except ForeignOrigin:
                raise gate.foreign() from None
            identity = await gate.http(shown, self.verify)
            return guarded_stream(
                request,
                self.broker,
                [topic.replace("mine", f"user:{identity.user}:mail")],
                identity=identity,
                live=self.live,
                access=self.access,
            )

    async def join(self, path, name="ada", **options):
        client = await WebSocketClient.connect(self.server.ws_url + path, name=name, **options)
        self.clients.append(client)
        return client

    async def enter(self, token=None, name="ada"):
        """Return a client that came in by its first message, when the room knows it."""
        known = len(self.manager)
        client = await self.join("/first", name)
        await client.send({"type": "auth", "token": token or self.token(name)})
        await until(lambda: len(self.manager) == known + 1)
        return client

    async def listen(self, token, topic="news", name="ada", **headers):
        headers = {"authorization": f"Bearer {token}"} | headers
        url = f"{self.server.url}/events/{topic}"
        client = await SSEClient.connect(url, name=name, headers=headers)
        self.clients.append(client)
        return client


@pytest.fixture
def service():
    """Return a context manager that opens a service on a real server."""

    @asynccontextmanager
    async def opened(**options):
        service = Service(**options)
        async with service.server:
            yield service
            for client in service.clients:
                await client.close()

    return opened


@pytest.fixture
def recorder():
    """Everything that is logged during the test, at every level."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def valkey_server():
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey(valkey_server):
    """A server that runs, whatever the test before did to it."""
    valkey_server.resume()
    if not valkey_server.running:
        valkey_server.restart()
    return valkey_server


@pytest.fixture(params=["memory", "valkey"])
def make_tickets(request, valkey):
    """Make a store of each kind; `advance` lets its time pass."""

    @asynccontextmanager
    async def made(lifetime_s=15.0):
        if request.param == "memory":
            clock = ManualClock()

            async def later(seconds):
                clock.advance(seconds)

            yield MemoryTickets(lifetime_s=lifetime_s, clock=clock), later
        else:
            async with Redis.from_url(valkey.url) as client:
                yield ValkeyTickets(client, lifetime_s=lifetime_s), asyncio.sleep

    return made
