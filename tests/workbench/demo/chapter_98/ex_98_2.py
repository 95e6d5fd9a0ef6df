"""Exercise 98.2: an endpoint that lives through nonsense."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Endpoint = Callable[[WebSocket], Awaitable[None]]

exercise = Exercise[Endpoint](
    "98.2",
    title="Live through nonsense",
    hints=("Which exception does `json.loads` raise?", "Put the `try` inside the loop."),
)


@exercise.solution
async def endpoint(websocket: WebSocket) -> None:
    """Answer each JSON text with itself, and anything else with an error message."""
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            # hole: answer, also when the text is not JSON
            try:
                reply = json.loads(text)
            except ValueError:
                reply = {"type": "error", "code": "not_json"}
            # end
            await websocket.send_json(reply)
    except WebSocketDisconnect:
        return


@exercise.wrong("was closed: 1006")
async def trusts_the_client(websocket: WebSocket) -> None:
    """Let `json.loads` raise through the endpoint."""
    await websocket.accept()
    while True:
        await websocket.send_json(json.loads(await websocket.receive_text()))


@exercise.wrong("say what was wrong")
async def echoes_anything(websocket: WebSocket) -> None:
    """Answer nonsense as if it were sense."""
    await websocket.accept()
    while True:
        await websocket.send_json(await websocket.receive_text())


@exercise.wrong("heard nothing")
async def ignores_nonsense(websocket: WebSocket) -> None:
    """Swallow the error and say nothing."""
    await websocket.accept()
    while True:
        try:
            reply = json.loads(await websocket.receive_text())
        except ValueError:
            continue
        await websocket.send_json(reply)


@exercise.check
async def check(endpoint: Endpoint) -> None:
    """Send nonsense, then sense, over a real socket."""
    app = FastAPI()
    app.add_api_websocket_route("/", endpoint)
    async with (
        LiveServer(app) as server,
        await WebSocketClient.connect(server.ws_url, timeout_s=1.0) as ada,
    ):
        given = "a text that is not JSON"
        await ada.send("{")
        with scene(given, because="each message has one answer, and the connection lives"):
            reply = await ada.receive_json()
        expect_equal(
            reply, {"type": "error", "code": "not_json"}, given=given, because="say what was wrong"
        )
