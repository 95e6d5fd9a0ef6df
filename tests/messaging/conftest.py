"""A real server that speaks lab.v1, with a time and an epoch that are always the same."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router
from labkit.messaging import Asks, Once, Topics, add_topics, negotiate
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.websocket import Session

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def allowed(connection, topic):
    """Say yes to everything but `private`."""
    return topic != "private"


class Room:
    """Everything of lab.v1 on one endpoint."""

    def __init__(self, *, versioned=True, clock=lambda: 0.0, max_waiting=16, **topics):
        self.clients = []
        self.manager, self.router = Manager(), Router()
        epochs = (f"e{n}" for n in count(1))
        self.topics = Topics(
            self.manager, clock=clock, now=lambda: NOON, new_epoch=lambda: next(epochs), **topics
        )
        self.once = Once(clock=clock)
        self.asks = Asks(self.manager, max_waiting=max_waiting)
        may = {"may_subscribe": allowed, "may_publish": allowed}
        add_topics(self.router, self.topics, self.once, **may)
        self.asks.teach(self.router)
        self.app = FastAPI()
        self.server = LiveServer(self.app)

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            if versioned and await negotiate(websocket) is None:
                return
            session = Session(
                websocket=websocket,
                manager=self.manager,
                on_text=self.router,
                overtakes=self.asks.overtakes,
                user=websocket.query_params.get("user"),
            )
            await session.run()

    @property
    def only(self):
        """Return the one connection there is."""
        (connection,) = self.manager
        return connection

    async def join(self, name="ada", topic=None, *, user=None, after=None, through=None, **options):
        """Return a client that is connected, and subscribed to `topic` when there is one."""
        options.setdefault("subprotocols", ["lab.v1"])
        url = f"{(through or self.server).ws_url}/ws" + (f"?user={user}" if user else "")
        client = await WebSocketClient.connect(url, name=name, **options)
        self.clients.append(client)
        if topic is not None:
            subscribe = {"type": "subscribe", "topic": topic, "after": after}
            await client.send({key: value for key, value in subscribe.items() if value})
            assert (await client.receive_json())["type"] == "ok"
        return client


@pytest.fixture
def room():
    """Return a context manager that opens a room on a real server."""

    @asynccontextmanager
    async def opened(**options):
        room = Room(**options)
        async with room.server:
            yield room
            for client in room.clients:
                client.abort()

    return opened
