"""What we rely on in Starlette, FastAPI and uvicorn. Red here means: a lesson has to change."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException

from labkit.testing.clients import Rejected, Silence, WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.frozen import FrozenClient
from labkit.testing.server import LiveServer


@pytest.fixture
def app():
    """Return an application that a test fills."""
    return FastAPI()


async def refusal(server, path):
    """Return the status with which the path refuses, and its body."""
    with pytest.raises(Rejected) as caught:
        await WebSocketClient.connect(server.ws_url + path)
    return caught.value.status, caught.value.body


async def test_a_refusal_before_accept_is_http(app):
    """An HTTPException keeps its status, a WebSocketException becomes a bare 403."""

    async def http():
        raise HTTPException(401, "no token")

    async def websocket():
        raise WebSocketException(1008, "no token")

    for dependency in (http, websocket):

        @app.websocket(f"/{dependency.__name__}")
        async def refused(websocket: WebSocket, user=Depends(dependency)):
            await websocket.accept()

    async with LiveServer(app) as server:
        assert await refusal(server, "/http") == (401, b'{"detail":"no token"}')
        assert await refusal(server, "/websocket") == (403, b"")


async def test_a_yield_dependency_is_held_as_long_as_the_socket(app):
    """Two idle sockets use up a pool of two; the third is not answered."""
    pool = asyncio.Semaphore(2)

    async def borrowed():
        async with pool:
            yield

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, connection=Depends(borrowed)):
        await websocket.accept()
        await websocket.receive_text()

    async with LiveServer(app) as server:
        for _ in range(2):
            await WebSocketClient.connect(f"{server.ws_url}/ws")
        with pytest.raises(Silence):
            await WebSocketClient.connect(f"{server.ws_url}/ws", timeout_s=0.2)


async def test_an_endpoint_that_returns_leaves_1006(app):
    """Nobody sends the close frame for it."""

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        assert (await client.closed()).code == 1006


async def test_a_message_nobody_takes_stops_the_reading_of_pongs(app):
    """A client that answers every ping is closed with 1011 all the same."""

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await asyncio.Event().wait()

    async with LiveServer(app, ws_ping_interval=0.05, ws_ping_timeout=0.1) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        await client.send("nobody takes this")
        assert (await client.closed()).code == 1011


async def test_a_send_to_a_stalled_peer_blocks_in_spite_of_pings(app):
    """Several ping timeouts later the send still waits."""
    sent = asyncio.Event()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        while True:
            await websocket.send_bytes(b"x" * 65_536)
            sent.set()

    async with LiveServer(app, ws_ping_interval=0.05, ws_ping_timeout=0.05) as server:
        eve = await StalledReader.connect(f"{server.ws_url}/ws", name="eve")
        with pytest.raises(TimeoutError):
            while True:
                sent.clear()
                async with asyncio.timeout(0.5):  # ten ping timeouts long
                    await sent.wait()
        assert server.connections == 1
        eve.close()


async def test_sends_to_a_frozen_client_succeed(app):
    """A hundred messages to a sleeping process are a hundred successes."""
    sent, taken = asyncio.Queue(), []

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await sent.get()
        for n in range(100):
            await websocket.send_text("hello")
            taken.append(n)
        sent.task_done()
        await websocket.receive_text()

    async with LiveServer(app) as server:
        laptop = await FrozenClient.connect(f"{server.ws_url}/ws")
        laptop.freeze()
        sent.put_nowait("go")
        async with asyncio.timeout(5):
            await sent.join()
        assert len(taken) == 100
        await laptop.close()
