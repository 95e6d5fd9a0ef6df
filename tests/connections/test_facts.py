"""What we rely on in uvicorn and FastAPI. Red here means: a lesson has to change."""

# ruff: noqa: PLC0415, T201 - a program for another process imports what it needs, and prints

import asyncio
import logging
import signal

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse

from labkit.testing.clients import Rejected, SSEClient, WebSocketClient
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess
from labkit.testing.server import LiveServer


def late(port):
    """Say in the lifespan's shutdown how many WebSockets are still there."""
    from contextlib import asynccontextmanager

    import uvicorn
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    active = set()

    @asynccontextmanager
    async def lifespan(app):
        yield
        print(f"lifespan finds {len(active)}")

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        active.add(websocket)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            active.discard(websocket)

    uvicorn.run(app, port=port, log_level="warning")


def streaming(port):
    """Serve a stream that never ends by itself."""
    import asyncio

    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/events")
    async def events():
        async def body():
            yield b"data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    uvicorn.run(app, port=port, log_level="warning")


async def rush(server, count):
    """Return how many of so many clients, all at once, are let in."""
    outcomes = await asyncio.gather(
        *(WebSocketClient.connect(f"{server.ws_url}/ws") for _ in range(count)),
        return_exceptions=True,
    )
    return sum(isinstance(each, WebSocketClient) for each in outcomes)


def counting_app():
    """Return an application that checks, accepts, and only then counts."""
    active, app = set(), FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        if len(active) >= 10:
            await websocket.close(1008, "Server at capacity")
            return
        await websocket.accept()
        active.add(websocket)
        await websocket.receive()

    return app


async def test_websockets_are_closed_before_the_lifespan_ends():
    """A goodbye in the lifespan's shutdown finds nobody: its client has a bare 1012."""
    async with ServerProcess(late) as process:
        client = await WebSocketClient.connect(f"{process.ws_url}/ws")
        process.signal(signal.SIGTERM)
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1012, "")
        await process.ended()
        assert "lifespan finds 0" in process.lines


async def test_an_open_stream_keeps_uvicorn_running():
    """There is no default for how long it waits (https://github.com/Kludex/uvicorn/pull/2913)."""
    async with (
        ServerProcess(streaming) as process,
        await SSEClient.connect(f"{process.url}/events") as stream,
    ):
        await stream.next()
        process.signal(signal.SIGTERM)
        with pytest.raises(Silence):
            await process.ended(timeout_s=2)


async def test_accept_does_not_suspend_so_check_and_accept_is_atomic():
    """Sixty at once and ten places: ten come in, without any care taken."""
    async with LiveServer(counting_app()) as server:
        assert await rush(server, 60) == 10


async def test_one_await_in_a_middleware_makes_it_a_race():
    """The same endpoint behind a middleware that awaits lets in more than ten."""
    app = counting_app()

    class Slow:
        """Awaits before each message."""

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def slow():
                await asyncio.sleep(0.05)
                return await receive()

            await self.app(scope, slow, send)

    app.add_middleware(Slow)
    async with LiveServer(app) as server:
        assert await rush(server, 60) > 10


async def test_limit_concurrency_does_not_limit_websockets():
    """They all come in, and then the health check is what gets the 503."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await websocket.receive()

    @app.get("/healthz")
    async def healthz():
        return "ok"

    async with LiveServer(app, limit_concurrency=5) as server, httpx.AsyncClient() as http:
        assert await rush(server, 8) == 8
        assert (await http.get(f"{server.url}/healthz")).status_code == 503


async def test_a_close_before_accept_hides_code_and_reason():
    """The client reads a bare 403."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.close(1008, "Server at capacity")

    async with LiveServer(app) as server:
        with pytest.raises(Rejected) as caught:
            await WebSocketClient.connect(f"{server.ws_url}/ws")
        assert (caught.value.status, caught.value.body) == (403, b"")


async def test_a_denial_response_costs_one_line_in_the_log():
    """The client reads what it should, and uvicorn calls it an incomplete handshake."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.send_denial_response(JSONResponse({}, 503))

    async with LiveServer(app) as server:
        with pytest.raises(Rejected) as caught:
            await WebSocketClient.connect(f"{server.ws_url}/ws")
        assert caught.value.status == 503
        errors = [record for record in server.log if record.levelno >= logging.ERROR]
        assert [(each.getMessage(), each.exc_text) for each in errors] == [
            ("ASGI callable returned without completing handshake.", None)
        ]
