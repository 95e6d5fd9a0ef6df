"""A guarded chat on a real server, with everything that room 8 has."""

from contextlib import asynccontextmanager
from typing import Literal

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import ClientMessage, Manager, Router, add_subscriptions, encode
from labkit.performance import FrameProtocol
from labkit.security import OriginGuard, Payload, Rate, Text, Throttle
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.websocket import Limits, Session

OWN = "http://app.example"
VALID = {"type": "note", "data": {"a": 1}}


class Say(ClientMessage):
    """Text for people."""

    type: Literal["say"]
    text: Text


class Note(ClientMessage):
    """An object for programs."""

    type: Literal["note"]
    data: Payload


class Chat:
    """One endpoint that believes nothing."""

    def __init__(self, *, rate=None, **server):
        self.manager, self.router, self.app = Manager(), Router(), FastAPI()
        add_subscriptions(self.router, self.manager, may_subscribe=lambda *_: True)

        @self.router.on(Say)
        def say(connection, message):
            connection.send(encode("said", text=message.text, ref=message.id))

        @self.router.on(Note)
        def note(connection, message):
            connection.send(encode("noted", ref=message.id))

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            throttle = Throttle(self.router, rate or Rate(burst=50))
            limits = Limits(close_timeout_s=0.5)
            await Session(
                websocket=websocket, manager=self.manager, on_text=throttle, limits=limits
            ).run()

        self.app.add_middleware(OriginGuard, allowed=[OWN], missing="allow")
        self.server = LiveServer(self.app, ws=FrameProtocol, **server)
        self.url = ""

    async def join(self, name="ada", **options):
        """Return a connected client."""
        return await WebSocketClient.connect(self.url, name=name, **options)


@pytest.fixture
def chat():
    """Return a context manager that opens a chat on a real server."""

    @asynccontextmanager
    async def opened(**options):
        chat = Chat(**options)
        async with chat.server:
            chat.url = chat.server.ws_url + "/ws"
            yield chat

    return opened


@pytest.fixture(scope="session")
def valkey_server():
    """Start one real Valkey for the room's tests."""
    with ValkeyServer() as server:
        yield server
