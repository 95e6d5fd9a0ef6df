"""A real Valkey, and each kind of broker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext

import pytest

from labkit.sse import MemoryBroker, Parser, ValkeyBroker
from labkit.testing.valkey import ValkeyServer

DEADLINE_S = 10.0


async def eventually(condition):
    """Poll until the condition holds; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


class Reader:
    """Takes from a subscription and parses, as a client would."""

    def __init__(self, subscription):
        self.subscription = subscription
        self.parser = Parser()
        self.events = []

    @property
    def position(self):
        return self.parser.last_event_id

    def take(self):
        events = self.parser.feed(self.subscription.take().wire)
        self.events += events
        return [event.data for event in events]

    async def until(self, condition):
        """Take until the condition holds for the events so far."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self.events):
                await self.subscription.wait(DEADLINE_S)
                self.take()

    async def next_data(self, count):
        await self.until(lambda events: len(events) >= count)
        return [event.data for event in self.events]


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


@pytest.fixture
def reading():
    """Read a subscription as a client would."""
    return Reader


@pytest.fixture(name="eventually")
def eventually_fixture():
    return eventually


@asynccontextmanager
async def running_broker(kind, server, **options):
    if kind == "memory":
        with nullcontext(MemoryBroker(options.get("history"))) as broker:
            yield broker
    else:
        async with ValkeyBroker(server.url, backoff=lambda _attempt: 0.01, **options) as broker:
            yield broker


@pytest.fixture(params=["memory", "valkey"])
async def broker(request, valkey):
    async with running_broker(request.param, valkey) as broker:
        yield broker


@pytest.fixture(params=["memory", "valkey"])
def make_broker(request, valkey):
    """Make a broker of each kind with options of one's own."""
    return lambda **options: running_broker(request.param, valkey, **options)
