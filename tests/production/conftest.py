"""A real Valkey, topics of a process, and the application on a real server."""

from contextlib import asynccontextmanager

import httpx
import pytest
from redis import Redis

from labkit.production import SharedTopics, create_app, load
from labkit.sse.reader import patient_client
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer


@pytest.fixture(scope="session")
def valkey_server():
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey(valkey_server):
    """A server that runs and is empty, whatever the test before did to it."""
    valkey_server.resume()
    if valkey_server.running:
        with Redis.from_url(valkey_server.url) as redis:
            redis.flushall()
    else:
        valkey_server.start()
    return valkey_server


@pytest.fixture
async def client(valkey):
    """Look at the server from outside."""
    client = patient_client(valkey.url, timeout_s=5, max_connections=8)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """The environment says nothing about the service."""
    for name in ("LABKIT_CI", "LABKIT_REDIS_URL", "LABKIT_PORT"):
        monkeypatch.delenv(name, raising=False)


def impatient(valkey, **options):
    """Topics of a process that notices and retries at once."""
    return SharedTopics(valkey.url, **({"backoff": lambda _n: 0.01, "linger_s": 0.0} | options))


class Told:
    """Writes down what topics tell."""

    def __init__(self, topics):
        self.events = []
        self.gaps = []
        topics.follow(
            lambda _topic, _at, data: self.events.append(data),
            lambda _topic, at: self.gaps.append(at),
        )


class Person:
    """Somebody who uses the service, by its addresses alone."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.clients = []
        self.http = httpx.AsyncClient(base_url=server.url, trust_env=False)

    async def login(self):
        answer = await self.http.post("/login", json={"user": self.name})
        self.http.cookies.clear()
        self.token = answer.json()["token"]
        self.http.headers["authorization"] = f"Bearer {self.token}"
        return self

    async def ws(self, **options):
        options = {"subprotocols": ["lab.v1"], "headers": dict(self.auth)} | options
        path = options.pop("path", "/ws")
        url = f"{self.server.ws_url}{path}"
        return self.opened(await WebSocketClient.connect(url, name=self.name, **options))

    async def room(self, topic="room:tea", after=None):
        """Open a socket and subscribe; return it and the answer."""
        socket = await self.ws()
        message = {"type": "subscribe", "id": "s", "topic": topic}
        await socket.send(message if after is None else message | {"after": after})
        return socket, await until_type(socket, "ok", "error")

    async def events(self, topic="room:tea", **options):
        url = f"{self.server.url}/events?topic={topic}"
        options = {"headers": dict(self.auth)} | options
        return self.opened(await SSEClient.connect(url, **options))

    def opened(self, client):
        """Close it with the test."""
        self.clients.append(client)
        return client

    async def leave(self):
        for each in self.clients:
            await each.close()
        await self.http.aclose()

    async def say(self, text, topic="room:tea", **fields):
        return await self.http.post("/publish", json={"topic": topic, "text": text} | fields)

    @property
    def auth(self):
        return {"authorization": f"Bearer {self.token}"}


async def until_type(socket, *types):
    """Return the next message of one of these types."""
    while True:
        message = await socket.receive_json()
        if message["type"] in types:
            return message


@pytest.fixture
def person():
    """Make somebody who is signed in at a server; all of them leave with the test."""
    return _people


@asynccontextmanager
async def serving(valkey, **settings):
    """Serve the application on a live server."""
    settings = {
        "redis_url": valkey.url,
        "log_level": "warning",
        "logins": "10000/minute",
    } | settings
    async with LiveServer(create_app(load(**settings))) as server:
        server.people = []
        try:
            yield server
        finally:
            for each in server.people:
                await each.leave()


async def _people(server, name="ada"):
    somebody = await Person(server, name).login()
    server.people.append(somebody)
    return somebody
