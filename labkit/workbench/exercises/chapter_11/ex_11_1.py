"""Exercise 11.1: wait for one kind of message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Wait = Callable[[WebSocketClient, str, float], Awaitable[Any]]

exercise = Exercise[Wait](
    "11.1",
    title="wait for one kind of message",
    hints=(
        "A loop: receive, look at `type`, go on or return.",
        "Which wait has the deadline: one message, or all of them together?",
        "`async with asyncio.timeout(timeout_s):` around the whole loop.",
    ),
)


@exercise.solution
async def receive_until(client: WebSocketClient, kind: str, timeout_s: float) -> Any:
    """Return the first message whose `type` is `kind`; after `timeout_s` raise TimeoutError."""
    # hole: pass over other messages; one deadline for the whole wait
    async with asyncio.timeout(timeout_s):
        while True:
            message = await client.receive_json()
            if message.get("type") == kind:
                return message
    # end


@exercise.wrong("a greeting came first")
async def takes_the_first(client: WebSocketClient, kind: str, timeout_s: float) -> Any:
    """Believe that the next message is the answer, as the guide's tests do."""
    return await client.receive_json(timeout_s=timeout_s)


@exercise.wrong("each message began a new deadline")
async def a_deadline_for_each(client: WebSocketClient, kind: str, timeout_s: float) -> Any:
    """Give every message the whole time."""
    while (message := await client.receive_json(timeout_s=timeout_s)).get("type") != kind:
        pass
    return message


@exercise.wrong("nothing ends the wait")
async def without_a_deadline(client: WebSocketClient, kind: str, timeout_s: float) -> Any:
    """Wait as long as it takes."""
    while (message := await client.receive_json(timeout_s=60)).get("type") != kind:
        pass
    return message


@exercise.wrong("a wait in vain must fail the test")
async def returns_nothing(client: WebSocketClient, kind: str, timeout_s: float) -> Any:
    """Swallow the timeout."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                message = await client.receive_json()
                if message.get("type") == kind:
                    return message
    return None


def _app() -> FastAPI:
    app = FastAPI()

    @app.websocket("/greets")
    async def greets(websocket: WebSocket) -> None:
        await websocket.accept()
        for message in ({"type": "hello"}, {"n": 1}, {"type": "pong", "n": 2}):
            await websocket.send_json(message)
        await websocket.receive()

    @app.websocket("/chatters")
    async def chatters(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await websocket.send_json({"type": "presence"})
                await asyncio.sleep(0.02)

    @app.websocket("/silent")
    async def silent(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    return app


@exercise.check
async def check(receive_until: Wait) -> None:
    """A server that greets, one that chatters for ever, one that says nothing."""
    async with LiveServer(_app(), timeout_graceful_shutdown=1) as server:

        async def ask(path: str, timeout_s: float) -> Any:
            async with await WebSocketClient.connect(server.ws_url + path) as client:
                async with asyncio.timeout(0.7):
                    return await receive_until(client, "pong", timeout_s)

        given = "a greeting, a message without a type, then the pong"
        with scene(given, because="a greeting came first, go on until the pong"):
            got = await ask("/greets", 5.0)
        because = "a greeting came first, and you took it for the answer"
        expect_equal(got, {"type": "pong", "n": 2}, given=given, because=because)
        for path, given, because in (
            ("/silent", "a server that says nothing", "nothing ends the wait"),
            ("/chatters", "a server that chatters for ever", "each message began a new deadline"),
        ):
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            try:
                got = await ask(path, 0.15)
            except TimeoutError:
                expect(loop.time() - began_s < 0.6, given=given, got="no end", because=because)
            else:
                pity = "a wait in vain must fail the test: let the TimeoutError out"
                expect(False, given=given, got=repr(got), because=pity)
