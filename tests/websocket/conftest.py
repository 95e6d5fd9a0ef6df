"""A real server with one WebSocket endpoint, and what its sessions returned."""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router, add_subscriptions
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session


class Room:
    """Manager, router and application of one test."""

    def __init__(self, server_options=None, on_text=None, **session):
        self.manager = Manager()
        self.router = Router()
        add_subscriptions(self.router, self.manager, may_subscribe=lambda *_: True)
        self.endings = []
        self.app = FastAPI()
        self.server = LiveServer(self.app, **(server_options or {}))

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            options = {"on_text": on_text or self.router, **session}
            self.endings.append(
                await Session(websocket=websocket, manager=self.manager, **options).run()
            )

    @property
    def only(self):
        """Return the one connection there is."""
        (connection,) = self.manager
        return connection

    async def join(self, name="ada", topic=None, **options):
        """Return a client that is connected, and subscribed to `topic` when there is one."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws", name=name, **options)
        if topic is not None:
            await client.send({"type": "subscribe", "topic": topic})
            assert (await client.receive_json())["type"] == "ok"
        return client


PROTOCOLS = {"asgi": "auto", "frames": "labkit.performance.frames:FrameProtocol"}


@pytest.fixture(params=PROTOCOLS)
def room(request):
    """Return a context manager that opens a room on a real server.

    Each test runs over uvicorn's own protocol and over that of chapter 7: one contract.
    """

    @asynccontextmanager
    async def opened(server_options=None, **options):
        server_options = {"ws": PROTOCOLS[request.param], **(server_options or {})}
        room = Room(server_options=server_options, **options)
        async with room.server:
            yield room

    return opened


@pytest.fixture
def quick():
    """Return limits whose deadlines a test can wait for."""

    def limits(**options):
        return Limits(**{"write_timeout_s": 0.2, "close_timeout_s": 0.5, **options})

    return limits
