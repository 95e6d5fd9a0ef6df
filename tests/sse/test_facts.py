"""What we rely on in sse-starlette and redis-py. Red here means: a lesson has to change."""

import asyncio
import logging
import socket
import struct
import time

import pytest
from fastapi import FastAPI, Request
from redis.asyncio import Redis
from sse_starlette.sse import EventSourceResponse

from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer


async def serve_until_left(generator):
    """Stream `generator(request)` to a client that leaves after one event."""
    app = FastAPI()

    @app.get("/events")
    async def endpoint(request: Request):
        return EventSourceResponse(generator(request))

    async with LiveServer(app) as server:
        async with await SSEClient.connect(f"{server.url}/events") as client:
            await client.next()
        yield


async def test_an_idle_generator_is_cancelled_when_its_client_leaves():
    """It need not ask: the library listens for it."""
    ended = asyncio.Event()

    async def generator(_):
        try:
            yield {"data": "hello"}
            await asyncio.Event().wait()
        finally:
            ended.set()

    async for _ in serve_until_left(generator):
        async with asyncio.timeout(5):
            assert await ended.wait()


async def test_a_generator_that_asks_whether_its_client_left_ends_too():
    """The question of the guide does no harm."""
    ended = asyncio.Event()

    async def generator(request):
        try:
            while not await request.is_disconnected():
                yield {"data": "hello"}
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async for _ in serve_until_left(generator):
        async with asyncio.timeout(5):
            assert await ended.wait()


def visit(port, left):
    """Read a little of `/spin`, vanish with a reset, and call `left`; runs in a thread."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET /spin HTTP/1.0\r\n\r\n")
        client.recv(4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left()


async def test_a_generator_that_never_suspends_freezes_the_loop(monkeypatch):
    """When its client has left, nothing else runs until it ends by itself."""
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)  # it logs every send
    app, order, stop_at = FastAPI(), [], [float("inf")]
    loop = asyncio.get_running_loop()

    @app.get("/spin")
    async def spin():
        async def generator():
            while time.monotonic() < stop_at[0]:
                yield {"data": "x"}
            order.append("generator")

        return EventSourceResponse(generator(), ping=0)

    def left():
        stop_at[0] = time.monotonic() + 0.5
        loop.call_soon_threadsafe(loop.call_later, 0.1, order.append, "everything else")

    async with LiveServer(app) as server:
        async with asyncio.timeout(10):
            await asyncio.to_thread(visit, server.port, left)
            while len(order) < 2:
                await asyncio.sleep(0)
        assert order == ["generator", "everything else"]


async def test_one_pubsub_object_cannot_serve_two_readers():
    """The second reader is refused with a RuntimeError."""
    with ValkeyServer() as valkey:
        async with Redis.from_url(valkey.url) as client, client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            await pubsub.get_message(timeout=2)
            first = asyncio.ensure_future(pubsub.get_message(timeout=2))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another coroutine"):
                await pubsub.get_message(timeout=2)
            first.cancel()
