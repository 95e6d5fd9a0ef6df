"""What chapter 11 relies on in Starlette's TestClient and in pytest. Red: a lesson must change."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.testclient import TestClient

from labkit.testing.clients import Rejected, SSEClient, WebSocketClient
from labkit.testing.leftovers import reset_sse_starlette
from labkit.testing.server import LiveServer

LIMIT_BYTES = 64 * 1024
BIG = "x" * 100_000


@pytest.fixture
def door():
    """Return an application that refuses, and one that tells a length; `seen` are its loops."""

    @asynccontextmanager
    async def lifespan(app):
        app.state.ready = True
        yield

    app = FastAPI(lifespan=lifespan)
    app.state.seen = []

    @app.websocket("/refused")
    async def refused(websocket: WebSocket):
        raise WebSocketException(1008)

    @app.websocket("/size")
    async def size(websocket: WebSocket):
        app.state.seen.append(asyncio.get_running_loop())
        await websocket.accept()
        await websocket.send_json(hasattr(app.state, "ready"))
        async for text in websocket.iter_text():
            await websocket.send_json(len(text))

    return app


@pytest.fixture
def events():
    """Return an application with one endless event stream."""
    app = FastAPI()

    @app.get("/events")
    async def stream():
        async def endless():
            yield ServerSentEvent(event="connected", data='{"message": "Connected"}')
            await asyncio.Event().wait()

        return EventSourceResponse(endless())

    yield app
    if asyncio._get_running_loop() is not None:
        reset_sse_starlette()


def test_testclient_answers_otherwise_than_a_server(door):
    """A close code for a refusal, no limit, no start-up unless entered, a loop for each socket."""
    client = TestClient(door)
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/refused"):
        pass
    assert caught.value.code == 1008
    with client.websocket_connect("/size") as one, client.websocket_connect("/size") as other:
        assert one.receive_json() is False
        one.send_text(BIG)
        assert one.receive_json() == len(BIG)
        other.receive_json()
    first, second = door.state.seen
    assert first is not second


async def test_a_server_refuses_with_http_and_has_a_limit(door):
    """The same questions over a real connection."""
    async with LiveServer(door, ws_max_size=LIMIT_BYTES) as server:
        with pytest.raises(Rejected, match="403"):
            await WebSocketClient.connect(server.ws_url + "/refused")
        async with await WebSocketClient.connect(server.ws_url + "/size") as client:
            assert await client.receive_json() is True
            await client.send(BIG)
            assert (await client.closed()).code == 1009
    assert door.state.seen == [asyncio.get_running_loop()]


def test_testclient_can_leave_an_endless_stream(events):
    """`stream` hands out what has come, and leaving ends the application's side."""
    with TestClient(events).stream("GET", "/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: connected"


async def test_a_stream_says_its_character_set_and_its_type_in_a_field(events):
    """The header is more than the media type, and `event:` is not in the data."""
    async with LiveServer(events) as server, await SSEClient.connect(f"{server.url}/events") as ada:
        assert ada.headers["content-type"] == "text/event-stream; charset=utf-8"
        first = await ada.next()
        assert (first.event, json.loads(first.data)) == ("connected", {"message": "Connected"})


def test_pytest_alone_fails_an_async_test(tmp_path):
    """Without a plugin it is not run, and it is not green either."""
    (tmp_path / "test_it.py").write_text("async def test_it(): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert "async def functions are not natively supported" in done.stdout
