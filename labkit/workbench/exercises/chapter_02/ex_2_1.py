"""Exercise 2.1: every end has a code."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import Disconnected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Handle = Callable[[WebSocket, Any], Awaitable[None]]
Converse = Callable[[WebSocket, Handle], Awaitable[None]]

exercise = Exercise[Converse](
    "2.1",
    title="every end has a code",
    hints=(
        "`await websocket.receive()` gives you the raw message: look at its `type` first.",
        "Text that is not JSON is the client's mistake: answer it, and go on reading.",
        "Bytes: close with 1003. An exception of `handle`: close with 1011. Then return.",
    ),
)


@exercise.solution
async def converse(websocket: WebSocket, handle: Callable[..., Any]) -> None:
    """Hand each JSON message to `handle(websocket, message)` until the connection ends."""
    while True:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            return
        # hole: bytes close with 1003, bad JSON is answered with {"type": "error"}, a bug is 1011
        if received.get("text") is None:
            await websocket.close(1003, "text only")
            return
        try:
            message = json.loads(received["text"])
        except (ValueError, RecursionError):
            await websocket.send_json({"type": "error"})
            continue
        try:
            await handle(websocket, message)
        except Exception:
            await websocket.close(1011, "server error")
            return
        # end


@exercise.wrong("the client sees no close frame")
async def lets_it_fall(websocket: WebSocket, handle: Handle) -> None:
    """Parse, handle, and hope."""
    while True:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            return
        await handle(websocket, json.loads(received["text"]))


@exercise.wrong("one bad message is no reason to hang up")
async def hangs_up(websocket: WebSocket, handle: Handle) -> None:
    """Close with 1007 for what could be answered."""
    while True:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            return
        if received.get("text") is None:
            await websocket.close(1003)
            return
        try:
            await handle(websocket, json.loads(received["text"]))
        except (ValueError, RecursionError):
            await websocket.close(1007)
            return
        except Exception:
            await websocket.close(1011)
            return


@exercise.wrong("bytes are not text")
async def answers_bytes(websocket: WebSocket, handle: Handle) -> None:
    """Treat bytes as bad JSON."""
    while True:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            return
        try:
            message = json.loads(received.get("text") or "")
        except (ValueError, RecursionError):
            await websocket.send_json({"type": "error"})
            continue
        try:
            await handle(websocket, message)
        except Exception:
            await websocket.close(1011)
            return


@exercise.wrong("a bug of ours is not the client's mistake")
async def blames_the_client(websocket: WebSocket, handle: Handle) -> None:
    """Answer everything with the same error, bugs included."""
    while True:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            return
        if received.get("text") is None:
            await websocket.close(1003)
            return
        try:
            await handle(websocket, json.loads(received["text"]))
        except Exception:
            await websocket.send_json({"type": "error"})


CASES: tuple[tuple[str, str | bytes, str, str], ...] = (
    ("text that is not JSON", "{", "error", "one bad message is no reason to hang up"),
    ("text that is too deep", "[" * 50_000, "error", "`json.loads` raises RecursionError, too"),
    ("bytes", b"\x00", "close 1003", "bytes are not text"),
    ("a handler with a bug", '"bug"', "close 1011", "a bug of ours is not the client's mistake"),
)


@exercise.check
async def check(converse: Converse) -> None:
    """Four provocations, each on a connection of its own that has worked before."""
    app = FastAPI()

    async def handle(websocket: WebSocket, message: Any) -> None:
        if message == "bug":
            raise KeyError(message)
        await websocket.send_json({"type": "ok"})

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await converse(websocket, handle)

    async with LiveServer(app) as server:
        for given, payload, wanted, because in CASES:
            async with await WebSocketClient.connect(f"{server.ws_url}/ws") as client:
                with scene("a good message", because="it was not handed to `handle`"):
                    await client.send("1")
                    await client.receive()
                got = await _reaction(client, payload, given)
                if got == "close 1006":
                    expect(False, given=given, got=got, because="the client sees no close frame")
                expect_equal(got, wanted, given=given, because=because)


async def _reaction(client: WebSocketClient, payload: str | bytes, given: str) -> str:
    with scene(given, because="the client got no answer"):
        try:
            await client.send(payload)
            reply = await client.receive_json()
            return str(reply.get("type"))
        except Disconnected:
            return f"close {(await client.closed()).code}"
