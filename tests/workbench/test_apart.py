"""A server in a process of its own, watched from outside."""

import asyncio

import pytest

from labkit.testing.clients import Unreachable, WebSocketClient
from labkit.workbench.apart import ServerProcess


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


async def until(condition):
    """Wait until it holds; fail after the deadline."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_healthy_process_answers_and_ends():
    """It reports that its loop comes back, and it ends when asked."""
    process = await ServerProcess.start(freezing)
    try:
        assert await process.answers("/", within_s=5)
        await until(lambda: len(process.samples) > 5)
        assert await process.ends(within_s=10)
    finally:
        await process.aclose()
    assert repr(process) == "ServerProcess(ended)"


async def test_a_frozen_process_is_seen_from_outside_and_killed():
    """It answers nobody, ignores SIGTERM, burns CPU and logs; our loop goes on."""
    process = await ServerProcess.start(freezing)
    try:
        client = await WebSocketClient.connect(f"{process.ws_url}/ws")
        before = process.now
        await client.send("freeze")
        await until(lambda: process.now.lag_s > 0.2 and process.now.cpu_s > before.cpu_s + 0.1)
        assert process.now.logged > before.logged + 100
        assert not await process.answers("/", within_s=0.2)
        assert not await process.ends(within_s=0.2)
    finally:
        await process.aclose()
    client.abort()
    assert repr(process) == "ServerProcess(ended)"
    with pytest.raises(Unreachable):
        await WebSocketClient.connect(f"{process.ws_url}/ws")


async def test_a_process_that_does_not_start_says_why():
    """The message has its last words, and nothing is left of it."""
    with pytest.raises(Unreachable, match="does not serve: ValueError: no application"):
        await ServerProcess.start(broken)
