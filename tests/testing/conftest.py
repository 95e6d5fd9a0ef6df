"""An application with every kind of endpoint that the clients and faults need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Response, WebSocket
from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse

from labkit.testing.server import LiveServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CHUNK = "x" * 10_000


def make_app() -> FastAPI:
    """Return a fresh application; `app.state.ended` collects the streams whose cleanup ran."""
    app = FastAPI()
    app.state.ended = []

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @app.websocket("/flood")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(CHUNK)

    @app.websocket("/refuse")
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response("no seat left", status_code=503))

    @app.websocket("/leave")
    async def leave(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("bye")
        await websocket.close(4001, "enough")

    @app.websocket("/chatter")
    async def chatter(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_json({"type": "presence"})
            await asyncio.sleep(0.01)

    @app.websocket("/leave-politely")
    async def leave_politely(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"type": "bye"})
        await websocket.close(4001, "enough")

    @app.get("/events")
    async def events() -> EventSourceResponse:
        async def numbers() -> AsyncIterator[dict[str, object]]:
            try:
                for number in range(3):
                    yield {"data": str(number), "id": str(number), "retry": 700}
                await asyncio.Event().wait()
            finally:
                app.state.ended.append("events")

        return EventSourceResponse(numbers(), ping=0)

    @app.get("/plain")
    async def plain() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            try:
                yield ": hello\n\ndata: one\n\n"
                await asyncio.Event().wait()
            finally:
                app.state.ended.append("plain")

        return StreamingResponse(lines(), media_type="text/event-stream")

    @app.get("/flood-events")
    async def flood_events() -> EventSourceResponse:
        async def forever() -> AsyncIterator[dict[str, str]]:
            while True:
                yield {"data": CHUNK}

        return EventSourceResponse(forever(), ping=0)

    @app.get("/finite")
    async def finite() -> Response:
        return Response("data: only\n\n", media_type="text/event-stream")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("a bug")

    return app


async def _eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Give a wait for a condition that nothing announces, with a deadline."""
    return _eventually


@pytest.fixture
def app() -> FastAPI:
    """Give a fresh application."""
    return make_app()


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[LiveServer]:
    """Serve the application."""
    async with LiveServer(app) as running:
        yield running
