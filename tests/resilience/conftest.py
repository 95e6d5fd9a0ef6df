"""A real server whose sessions stand on a guarded router, and a dependency to break."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, add_subscriptions
from labkit.resilience import GuardedRouter
from labkit.testing.clients import WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.flaky import Flaky
from labkit.testing.server import LiveServer
from labkit.websocket import Session


class Room:
    """Manager, guarded router and application of one test."""

    def __init__(self, **router):
        self.manager = Manager()
        self.router = GuardedRouter(**router)
        add_subscriptions(self.router, self.manager, may_subscribe=lambda *_: True)
        self.endings = []
        self.app = FastAPI()
        self.server = LiveServer(self.app)

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            session = Session(websocket=websocket, manager=self.manager, on_text=self.router)
            self.endings.append(await session.run())

        @self.app.get("/health")
        async def health():
            return "ok"

    async def join(self, name="ada", topic=None):
        """Return a client that is connected, and subscribed to `topic` when there is one."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws", name=name)
        if topic is not None:
            await client.send({"type": "subscribe", "topic": topic})
            assert (await client.receive_json())["type"] == "ok"
        return client


@pytest.fixture
def room():
    """Return a context manager that opens a room on a real server."""

    @asynccontextmanager
    async def opened(**router):
        room = Room(**router)
        async with room.server:
            yield room

    return opened


@pytest.fixture
async def service():
    """Return a dependency that fails on command."""
    async with Flaky() as service:
        yield service


@pytest.fixture
def clock():
    """Return a clock that the test moves."""
    return ManualClock()


@pytest.fixture
def eventually():
    """Return a function that waits until a condition holds, and fails after five seconds."""

    async def wait(condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
