"""A room on a real server, counted and logged as a service would be."""

import io
import json
import logging
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router, add_subscriptions
from labkit.monitoring import Metrics, json_logs, told
from labkit.testing.clients import WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session


class Room:
    """One endpoint, watched from outside."""

    def __init__(self, **session):
        self.clock = ManualClock()
        self.metrics = Metrics(types={"ping", "price"}, clock=self.clock)
        self.manager, self.router, self.visits = Manager(), Router(), []
        add_subscriptions(self.router, self.manager, may_subscribe=lambda *_: True)
        self.app = FastAPI()
        self.server = LiveServer(self.app)
        options = {"on_text": self.router, "limits": Limits(close_timeout_s=0.5), **session}

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            with self.metrics.session() as visit, told(websocket, visit, clock=self.clock):
                self.visits.append(visit)
                await visit.run(Session(websocket=websocket, manager=self.manager, **options))

    def value(self, name, **labels):
        """Return one sample, 0 when there is none."""
        return self.metrics.registry.get_sample_value(f"realtime_{name}", labels) or 0

    @property
    def active(self):
        """Return the gauge."""
        return self.value("connections_active", transport="websocket")

    async def join(self, name="ada", query=""):
        """Return a client that is connected and has been answered once."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws{query}", name=name)
        await client.send({"type": "ping"})
        await client.receive_json()
        return client


@pytest.fixture
def room():
    """Return a context manager that opens a room on a real server."""

    @asynccontextmanager
    async def opened(**session):
        room = Room(**session)
        async with room.server:
            yield room

    return opened


class Written:
    """What was logged, parsed."""

    def __init__(self):
        self.stream = io.StringIO()

    @property
    def lines(self):
        """Return every line; one that is not JSON raises."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def named(self, event):
        """Return the lines of one event."""
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def written():
    """Log as a service does, into memory."""
    written = Written()
    with json_logs(written.stream, level=logging.INFO):
        yield written
