"""Exercise 4.1: a door that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Converse = Callable[[WebSocket], Awaitable[None]]
Door = Callable[[WebSocket, set[Any], int, Converse], Awaitable[None]]

LIMIT = 3

exercise = Exercise[Door](
    "4.1",
    title="a door that counts",
    hints=(
        "Ask and take the place in the same breath: no `await` between `len(inside)` and `add`.",
        "Put something into `inside` that is this connection's alone: `object()`, or the socket.",
        "`await websocket.send_denial_response(PlainTextResponse(text, 503, headers))` refuses.",
        "The place comes back in a `finally`, around `accept` as well.",
    ),
)


@exercise.solution
async def door(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Callable[..., Any]
) -> None:
    """Let at most `limit` connections in; refuse the others with 503 and Retry-After."""
    # hole: take a place in `inside` or refuse; accept; converse; give the place back
    if len(inside) >= limit:
        refusal = PlainTextResponse("full", 503, {"Retry-After": "5"})
        await websocket.send_denial_response(refusal)
        return
    inside.add(websocket)
    try:
        await websocket.accept()
        await converse(websocket)
    finally:
        inside.discard(websocket)
    # end


@exercise.wrong("they all asked before the first one was counted")
async def counts_after_accept(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Converse
) -> None:
    """Count who has come in, as the guide does."""
    if len(inside) >= limit:
        await websocket.send_denial_response(PlainTextResponse("full", 503, {"Retry-After": "5"}))
        return
    await websocket.accept()
    inside.add(websocket)
    try:
        await converse(websocket)
    finally:
        inside.discard(websocket)


@exercise.wrong("one name can have many connections")
async def counts_names(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Converse
) -> None:
    """Count the names that clients give."""
    name = websocket.query_params.get("name")
    if len(inside) >= limit:
        await websocket.send_denial_response(PlainTextResponse("full", 503, {"Retry-After": "5"}))
        return
    inside.add(name)
    try:
        await websocket.accept()
        await converse(websocket)
    finally:
        inside.discard(name)


@exercise.wrong("whoever left by a bug still has a place")
async def forgets_the_bug(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Converse
) -> None:
    """Give the place back when all went well."""
    if len(inside) >= limit:
        await websocket.send_denial_response(PlainTextResponse("full", 503, {"Retry-After": "5"}))
        return
    inside.add(websocket)
    await websocket.accept()
    await converse(websocket)
    inside.discard(websocket)


@exercise.wrong("a close before `accept` is a bare 403")
async def closes_before_accept(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Converse
) -> None:
    """Give a code and a reason that nobody can read."""
    if len(inside) >= limit:
        await websocket.close(1008, "Server at capacity")
        return
    inside.add(websocket)
    try:
        await websocket.accept()
        await converse(websocket)
    finally:
        inside.discard(websocket)


@exercise.wrong("the client does not learn when to come back")
async def says_no_more(
    websocket: WebSocket, inside: set[Any], limit: int, converse: Converse
) -> None:
    """Refuse without `Retry-After`."""
    if len(inside) >= limit:
        await websocket.send_denial_response(PlainTextResponse("full", 503))
        return
    inside.add(websocket)
    try:
        await websocket.accept()
        await converse(websocket)
    finally:
        inside.discard(websocket)


class Slow:
    """ASGI middleware that awaits before each message, as a tracer does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, a moment later."""

        async def slow() -> Message:
            await asyncio.sleep(0.02)
            return await receive()

        await self.app(scope, slow, send)


class House:
    """The learner's door on a real server."""

    def __init__(self, door: Door) -> None:
        inside: set[Any] = set()
        app = FastAPI()
        app.add_middleware(Slow)
        self.server = LiveServer(app)

        async def converse(websocket: WebSocket) -> None:
            try:
                if await websocket.receive_text() == "bug":
                    raise KeyError("a bug")
            except WebSocketDisconnect:
                pass

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket) -> None:
            await door(websocket, inside, LIMIT, converse)

    async def rush(self, count: int, name: str = "") -> tuple[list[WebSocketClient], Rejected]:
        """Send so many clients at once; return those that are in, and one of the refusals."""
        url = f"{self.server.ws_url}/ws?name="
        arriving = (WebSocketClient.connect(url + (name or str(n))) for n in range(count))
        came = await asyncio.gather(*arriving, return_exceptions=True)
        inside = [each for each in came if isinstance(each, WebSocketClient)]
        refused = [each for each in came if isinstance(each, Rejected)]
        return inside, refused[0] if refused else Rejected(0, {}, b"")


@exercise.check
async def check(door: Door) -> None:
    """Twelve at once, a refusal that is read, a bug inside, and one name many times."""
    house = House(door)
    async with house.server:
        given = f"12 clients at once, {LIMIT} places"
        with scene(given, because="somebody was neither let in nor refused"):
            inside, refused = await house.rush(12)
        if len(inside) > LIMIT:
            because = "they all asked before the first one was counted: an `await` lies between"
            expect(False, given=given, got=f"{len(inside)} inside", because=because)
        expect_equal(len(inside), LIMIT, given=given, because="count those who are in")
        because = "a close before `accept` is a bare 403" if refused.status == 403 else "say 503"
        expect_equal(refused.status, 503, given="one too many", because=because)
        because = "the client does not learn when to come back: send Retry-After"
        got = "no such header"
        expect("retry-after" in refused.headers, given="a 503", got=got, because=because)
        for client in inside:
            await client.send("bug")
            await client.closed()
        with scene("nobody there any more", because="somebody was not answered"):
            inside, _ = await house.rush(12, name="ada")
        if not inside:
            because = "whoever left by a bug still has a place: release it in `finally`"
            expect(False, given="clients that met a bug and left", got=0, because=because)
        because = "one name can have many connections: count connections"
        expect_equal(len(inside), LIMIT, given="12 clients of one name", because=because)
