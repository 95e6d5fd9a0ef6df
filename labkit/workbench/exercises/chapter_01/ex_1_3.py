"""Exercise 1.3: every message has an answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

ReplyTo = Callable[[str], dict[str, str]]

exercise = Exercise[ReplyTo](
    "1.3",
    title="answer everything",
    hints=(
        "There are three ways to be wrong. Ask for them in this order.",
        "`json.loads` raises `ValueError` for what is not JSON, another for what is too deep.",
        '`[[[[…` nested very deep raises `RecursionError`. And `"abc"["type"]` is no dict.',
    ),
)


@exercise.solution
def reply_to(text: str) -> dict[str, str]:
    """Return `{"type": "pong"}` for a ping, an error with its code for everything else."""
    # hole: bad_json, not_an_object, unknown_type, or a pong
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {"type": "error", "code": "bad_json"}
    if not isinstance(message, dict):
        return {"type": "error", "code": "not_an_object"}
    if message.get("type") != "ping":
        return {"type": "error", "code": "unknown_type"}
    return {"type": "pong"}
    # end


@exercise.wrong("no answer came")
def believes_every_client(text: str) -> dict[str, str]:
    """Parse and look up, as if nothing could go wrong."""
    message = json.loads(text)
    if message["type"] == "ping":
        return {"type": "pong"}
    return {"type": "error", "code": "unknown_type"}


@exercise.wrong("too deep for json.loads")
def forgets_depth(text: str) -> dict[str, str]:
    """Catch what is not JSON, and not what is too deep."""
    try:
        message = json.loads(text)
    except ValueError:
        return {"type": "error", "code": "bad_json"}
    if not isinstance(message, dict):
        return {"type": "error", "code": "not_an_object"}
    if message.get("type") != "ping":
        return {"type": "error", "code": "unknown_type"}
    return {"type": "pong"}


@exercise.wrong("a list is JSON, but no object")
def one_code_for_all(text: str) -> dict[str, str]:
    """Call everything bad JSON."""
    try:
        if json.loads(text)["type"] == "ping":
            return {"type": "pong"}
    except (ValueError, RecursionError, KeyError, TypeError):
        return {"type": "error", "code": "bad_json"}
    return {"type": "error", "code": "unknown_type"}


@exercise.wrong("a ping is what it was made for")
def refuses_all(text: str) -> dict[str, str]:
    """Never be wrong by never being right."""
    return {"type": "error", "code": "bad_json"}


CASES: tuple[tuple[str, str, str], ...] = (
    ('{"type": "ping"}', "pong", "a ping is what it was made for"),
    ("{", "bad_json", "half an object is not JSON"),
    ("", "bad_json", "an empty text is not JSON"),
    ("[1]", "not_an_object", "a list is JSON, but no object"),
    ('"type"', "not_an_object", "a string is JSON, but no object"),
    ("null", "not_an_object", "null is JSON, but no object"),
    ("{}", "unknown_type", "an object without a type has an unknown one"),
    ('{"type": ["ping"]}', "unknown_type", "a list is not a type"),
    ("[" * 100_000, "bad_json", "this is too deep for json.loads"),
)


def _random_json(rng: random.Random, depth: int = 3) -> Any:
    simple = [None, True, 7, 1.5, "ping", "", "\u2603"]
    if depth == 0 or rng.random() < 0.4:
        return rng.choice(simple)
    if rng.random() < 0.5:
        return [_random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(["type", "id", "x"]): _random_json(rng, depth - 1) for _ in range(3)}


@exercise.check
async def check(reply_to: ReplyTo) -> None:
    """Nine chosen messages and two hundred random ones, over one connection."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_json(reply_to(await websocket.receive_text()))
        except WebSocketDisconnect:
            pass
        except Exception as error:
            await websocket.close(1011, f"it raised {error!r}"[:100])

    rng = random.Random(1)  # noqa: S311 - the same messages on every run
    noise = [(json.dumps(_random_json(rng)), "", "") for _ in range(200)]
    async with LiveServer(app, ws_max_size=1 << 20) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        for text, wanted, because in (*CASES, *noise):
            given = text if len(text) < 60 else f"{text[:8]}… ({len(text)} characters)"
            with scene(given, because=f"no answer came: {because or 'every message has one'}"):
                await client.send(text)
                reply = await client.receive_json()
            if wanted:
                got = reply.get("code") or reply.get("type")
                expect_equal(got, wanted, given=given, because=because)
