"""Whatever an endpoint does, its exchange can be ended, and the client sees an end."""

import asyncio

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from labkit.connections.exchange import Exchange
from labkit.testing.clients import Closed, Rejected, SSEClient, WebSocketClient
from labkit.testing.server import LiveServer


class Stage:
    """Endpoints that never look at their clients, and the exchanges they are in."""

    def __init__(self):
        self.exchanges, self.cleaned = [], asyncio.Event()
        self.app = FastAPI()
        self.server = LiveServer(self)

        @self.app.websocket("/push")
        async def push(websocket: WebSocket):
            await websocket.accept()
            await self.forever()

        @self.app.websocket("/slow-door")
        async def slow_door(websocket: WebSocket):
            await self.forever()

        @self.app.get("/slow")
        async def slow():
            await self.forever()

        @self.app.get("/stream")
        async def stream():
            async def body():
                yield b"data: 1\n\n"
                await self.forever()

            return StreamingResponse(body(), media_type="text/event-stream")

        @self.app.get("/quick")
        async def quick():
            return "done"

    async def forever(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaned.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        exchange = Exchange(scope["type"], send)
        self.exchanges.append(exchange)
        await exchange.run(self.app, scope, receive)

    async def end(self):
        """End the one exchange there is, and wait for its `finally`."""
        async with asyncio.timeout(5):
            while not self.exchanges:
                await asyncio.sleep(0.005)
            self.exchanges[-1].cancel()
            await self.cleaned.wait()

    def errors(self):
        return [record.getMessage() for record in self.server.log if record.exc_text]


@pytest.fixture
async def stage():
    """Return a stage on a real server."""
    stage = Stage()
    async with stage.server:
        yield stage


async def test_a_websocket_that_only_pushes_ends_with_1012(stage):
    """Its handler is cancelled, its `finally` runs, its client reads *come back*."""
    client = await WebSocketClient.connect(f"{stage.server.ws_url}/push")
    await stage.end()
    assert await client.closed() == Closed(1012, "restart")
    assert stage.errors() == []


async def test_a_plain_stream_ends_cleanly(stage):
    """The last chunk is sent: the body is complete, not broken off."""
    async with await SSEClient.connect(f"{stage.server.url}/stream") as client:
        await client.next()
        await stage.end()
        assert await client.closed()
    assert stage.errors() == []


async def test_what_has_not_answered_yet_answers_503(stage):
    """An HTTP client and a WebSocket client both read it."""
    for connect in (
        lambda: WebSocketClient.connect(f"{stage.server.ws_url}/slow-door"),
        lambda: SSEClient.connect(f"{stage.server.url}/slow"),
    ):
        stage.exchanges.clear()
        stage.cleaned.clear()
        waiting = asyncio.ensure_future(connect())
        await stage.end()
        try:
            client = await waiting
        except Rejected as refused:
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
        else:
            assert client.status == 503
            await client.close()
    assert stage.errors() == []


async def test_what_has_ended_by_itself_is_left_alone(stage):
    """Cancelling a finished exchange sends nothing more."""
    async with await SSEClient.connect(f"{stage.server.url}/quick") as client:
        assert await client.closed()
        stage.exchanges[0].cancel()
        assert client.raw == b'"done"'
