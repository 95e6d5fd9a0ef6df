"""Exercise 5.3: no longer than the token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from labkit.testing.clients import Disconnected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

EchoUntil = Callable[[WebSocket, float], Awaitable[None]]

exercise = Exercise[EchoUntil](
    "5.3",
    title="no longer than the token",
    hints=(
        "A client may say nothing for an hour. Who wakes you up at the end?",
        "`asyncio.timeout` takes a number of seconds from now, and one for all the messages.",
        "Outside of the `async with`, `except TimeoutError` closes with 4001.",
    ),
)


@exercise.solution
async def echo_until(websocket: WebSocket, expires_at: float) -> None:
    """Echo every message; close with 4001 when `time.time()` reaches `expires_at`."""
    # hole: whether the client is silent, busy, or has left
    try:
        async with asyncio.timeout(expires_at - time.time()):
            async for text in websocket.iter_text():
                await websocket.send_text(text)
    except TimeoutError:
        await websocket.close(4001, "expired")
    # end


@exercise.wrong("nobody has woken you")
async def looks_at_each_message(websocket: WebSocket, expires_at: float) -> None:
    """Look at the clock only when something comes."""
    async for text in websocket.iter_text():
        if time.time() >= expires_at:
            await websocket.close(4001, "expired")
            return
        await websocket.send_text(text)


@exercise.wrong("every message starts the time anew")
async def starts_anew_each_time(websocket: WebSocket, expires_at: float) -> None:
    """Give every message the whole time."""
    lifetime_s = expires_at - time.time()
    try:
        while True:
            async with asyncio.timeout(lifetime_s):
                await websocket.send_text(await websocket.receive_text())
    except TimeoutError:
        await websocket.close(4001, "expired")


@exercise.wrong("the loop's clock is another one")
async def mixes_clocks(websocket: WebSocket, expires_at: float) -> None:
    """Hand a time of the calendar to the clock of the loop."""
    try:
        async with asyncio.timeout_at(expires_at):
            async for text in websocket.iter_text():
                await websocket.send_text(text)
    except TimeoutError:
        await websocket.close(4001, "expired")


@exercise.wrong("the code says whether to come back")
async def closes_politely(websocket: WebSocket, expires_at: float) -> None:
    """Close as if all were well."""
    with suppress(TimeoutError):
        async with asyncio.timeout(expires_at - time.time()):
            async for text in websocket.iter_text():
                await websocket.send_text(text)
    await websocket.close()


@exercise.wrong("no close frame")
async def just_leaves(websocket: WebSocket, expires_at: float) -> None:
    """Return, and let the client guess."""
    with suppress(TimeoutError):
        async with asyncio.timeout(expires_at - time.time()):
            async for text in websocket.iter_text():
                await websocket.send_text(text)


TOKEN_S = 0.4


@exercise.check
async def check(echo_until: EchoUntil) -> None:
    """A silent client, a busy one, and one that leaves, each with a token of its own."""
    app, running = FastAPI(), set[str]()

    @app.websocket("/ws/{name}/{seconds}")
    async def endpoint(websocket: WebSocket, name: str, seconds: float) -> None:
        await websocket.accept()
        running.add(name)
        try:
            with suppress(WebSocketDisconnect):
                await echo_until(websocket, time.time() + seconds)
        finally:
            running.discard(name)

    async with LiveServer(app) as server:
        url = f"{server.ws_url}/ws"
        async with await WebSocketClient.connect(f"{url}/bob/60") as bob:
            with scene("a token that is good", because="the message was not echoed"):
                await bob.send("hello")
                expect_equal(await bob.receive(), "hello", given="a message", because="echo it")
            silent = await _ending(f"{url}/ada/{TOKEN_S}", busy=False)
            busy = await _ending(f"{url}/eve/{TOKEN_S}", busy=True)
            _judge(silent, busy)
            expect(bob.open, given="another client", got="closed", because="bob's token is good")
        with scene("a client that leaves", because="the endpoint has not noticed"):
            await until(lambda: not running, timeout_s=2)


def _judge(silent: int | None, busy: int | None) -> None:
    because = "nobody has woken you"
    if silent is busy is None:
        because = "the loop's clock is another one, and it is not yet the year that you wait for"
    given = "a silent client whose token ends"
    expect(silent is not None, given=given, got="no close", because=because)
    because = "every message starts the time anew"
    expect(
        busy is not None, given="a busy client whose token ends", got="no close", because=because
    )
    expect(silent != 1006, given=given, got="close 1006", because="no close frame says why")
    expect_equal(silent, 4001, given=given, because="the code says whether to come back")
    expect_equal(busy, 4001, given="a busy client", because="the code says whether to come back")


async def _ending(url: str, *, busy: bool) -> int | None:
    """Return the close code; None if it is still open long after the token's end."""
    async with await WebSocketClient.connect(url, timeout_s=1.0) as client:
        try:
            for n in range(20 if busy else 0):
                await client.send(str(n))
                await client.receive()
                await asyncio.sleep(0.05)
            return None if busy else (await client.closed()).code
        except Disconnected:
            return (await client.closed()).code
        except TimeoutError:
            return None
