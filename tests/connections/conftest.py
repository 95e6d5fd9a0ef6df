"""A manager, sessions and a clock on a real server."""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router, add_subscriptions
from labkit.testing.clients import WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session


class Room:
    """One endpoint; a test replaces `on_text` and `on_open` as it likes."""

    def __init__(self):
        self.clock, self.manager, self.router = ManualClock(), Manager(), Router()
        self.on_text, self.on_open, self.endings = self.router, None, []
        add_subscriptions(self.router, self.manager, may_subscribe=lambda *_: True)
        self.app = FastAPI()
        self.server = LiveServer(self.app)

        @self.app.websocket("/ws/{user}")
        async def endpoint(websocket: WebSocket, user: str):
            session = Session(
                websocket=websocket,
                manager=self.manager,
                on_text=self.on_text,
                on_open=self.on_open,
                user=user,
                clock=self.clock,
                limits=Limits(close_timeout_s=0.5),
            )
            self.endings.append(await session.run())

    async def join(self, user="ada", topic=None):
        """Return a client that is connected, and subscribed to `topic` when there is one."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws/{user}", name=user)
        await client.send({"type": "subscribe", "topic": topic} if topic else {"type": "ping"})
        await client.receive_json()
        return client

    def of(self, user):
        """Return the one connection of a user."""
        (connection,) = [each for each in self.manager if each.user == user]
        return connection


@pytest.fixture
def room():
    """Return a context manager that opens a room on a real server."""

    @asynccontextmanager
    async def opened():
        room = Room()
        async with room.server:
            yield room

    return opened
