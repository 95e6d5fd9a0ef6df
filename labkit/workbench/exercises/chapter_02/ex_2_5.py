"""Exercise 2.5: what a raw message holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

KindOf = Callable[[dict[str, Any]], str]

exercise = Exercise[KindOf](
    "2.5",
    title="text, bytes or gone",
    hints=(
        "The `type` of the message tells you whether there is anything in it at all.",
        "A server may send both keys, with None in one of them.",
        "An empty text is a text: ask `is not None`, not whether it is true.",
    ),
)


@exercise.solution
def kind_of(message: dict[str, Any]) -> str:
    """Return "text", "bytes" or "gone" for what `websocket.receive()` returned."""
    # hole: the disconnect first; then the value that is not None
    if message["type"] == "websocket.disconnect":
        return "gone"
    return "bytes" if message.get("text") is None else "text"
    # end


@exercise.wrong("the key is there, and holds None")
def looks_at_the_key(message: dict[str, Any]) -> str:
    """Do as the guide does."""
    if message["type"] == "websocket.disconnect":
        return "gone"
    return "text" if "text" in message else "bytes"


@exercise.wrong("an empty message is a message")
def asks_for_truth(message: dict[str, Any]) -> str:
    """Take an empty text for no text."""
    if message["type"] == "websocket.disconnect":
        return "gone"
    return "text" if message.get("text") else "bytes"


@exercise.wrong("the client has left")
def forgets_the_end(message: dict[str, Any]) -> str:
    """Believe that every message has something in it."""
    return "bytes" if message.get("text") is None else "text"


CASES: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"type": "websocket.receive", "text": "hi"}, "text", "the text is there"),
    ({"type": "websocket.receive", "bytes": b"hi"}, "bytes", "the bytes are there"),
    ({"type": "websocket.receive", "text": None, "bytes": b""}, "bytes",
     "the key is there, and holds None"),
    ({"type": "websocket.receive", "text": "", "bytes": None}, "text",
     "an empty message is a message"),
    ({"type": "websocket.disconnect", "code": 1000}, "gone", "the client has left"),
)  # fmt: skip


@exercise.check
async def check(kind_of: KindOf) -> None:
    """Five raw messages of two kinds of server, then a real conversation."""
    for message, wanted, because in CASES:
        expect_equal(kind_of(message), wanted, given=str(message), because=because)
    seen, app = asyncio.Queue[str](), FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        kind = ""
        while kind != "gone":
            kind = kind_of(dict(await websocket.receive()))
            seen.put_nowait(kind)

    given = "a real client: a text, bytes, goodbye"
    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        await client.send("hi")
        await client.send(b"hi")
        await client.close()
        with scene(given, because="the endpoint did not see all three"):
            async with asyncio.timeout(2):
                got = [await seen.get() for _ in range(3)]
    expect_equal(got, ["text", "bytes", "gone"], given=given, because="one at a time")
