"""A server in a process of its own, watched from outside."""

import asyncio

import pytest

from labkit.testing.clients import Unreachable, WebSocketClient
from labkit.testing.server import StartupError
from labkit.workbench.apart import WatchedServer


def freezing():
    """Make an application that one message freezes."""
    app = FastAPI()  # noqa: F821 - a name of the child

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):  # noqa: F821
        await websocket.accept()
        await websocket.receive_text()
        while True:
            logging.info("spinning")  # noqa: F821

    return app


def broken():
    """Make no application."""
    raise ValueError("no application")


async def test_a_healthy_process_answers_and_ends():
    """It reports while it lives, it ends when asked, and its reports stay."""
    server = await WatchedServer.start(freezing)
    try:
        assert await server.answers("/", within_s=5)
        first, second = await server.report(), await server.report()
        assert second.at_s > first.at_s
        assert await server.ends(within_s=10)
    finally:
        await server.aclose()
        await server.aclose()
    assert repr(server) == "WatchedServer(ended)"
    assert first in server.samples


async def test_a_frozen_process_is_seen_from_outside_and_killed():
    """It answers nobody, ignores SIGTERM, burns CPU and logs; our loop goes on."""
    server = await WatchedServer.start(freezing)
    try:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        before = now = await server.report()
        await client.send("freeze")
        async with asyncio.timeout(20):
            while now.lag_s < 0.2 or now.cpu_s < before.cpu_s + 0.1:
                now = await server.report()
        assert now.logged > before.logged + 100
        assert not await server.answers("/", within_s=0.2)
        assert not await server.ends(within_s=0.2)
    finally:
        await server.aclose()
    client.abort()
    assert repr(server) == "WatchedServer(ended)"
    with pytest.raises(Unreachable):
        await WebSocketClient.connect(f"{server.ws_url}/ws")


async def test_a_process_that_does_not_start_says_why():
    """The message has its last words, and nothing is left of it."""
    with pytest.raises(StartupError, match="ValueError: no application"):
        await WatchedServer.start(broken)
