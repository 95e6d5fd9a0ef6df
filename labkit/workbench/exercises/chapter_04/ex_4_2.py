"""Exercise 4.2: silent for too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Handle = Callable[[WebSocket, str], Awaitable[None]]
Converse = Callable[[WebSocket, float, Handle], Awaitable[None]]

LIMIT_S = 0.8
WORK_S = 1.2  # longer than the limit
PAUSE_S = 0.3  # much shorter

exercise = Exercise[Converse](
    "4.2",
    title="silent for too long",
    hints=(
        "`async with asyncio.timeout(limit):` raises TimeoutError, by a monotonic clock.",
        "What has a limit is the waiting. A handler that works is not silence.",
        "Each message starts the time anew: the timeout belongs inside the loop.",
        "Then `await websocket.close(4000, …)` and return: one end for socket and handler.",
    ),
)


@exercise.solution
async def converse(websocket: WebSocket, limit: float, handle: Callable[..., Any]) -> None:
    """Hand each text to `handle(websocket, text)`; close with 4000 after `limit` s without one."""
    # hole: limit the wait for each message, and nothing else
    while True:
        try:
            async with asyncio.timeout(limit):
                text = await websocket.receive_text()
        except TimeoutError:
            await websocket.close(4000, "idle")
            return
        await handle(websocket, text)
    # end


@exercise.wrong("each message starts the time anew")
async def one_limit_for_all(websocket: WebSocket, limit: float, handle: Handle) -> None:
    """Give the whole conversation one deadline."""
    try:
        async with asyncio.timeout(limit):
            while True:
                await handle(websocket, await websocket.receive_text())
    except TimeoutError:
        await websocket.close(4000, "idle")


@exercise.wrong("the handler was at work")
async def counts_the_work(websocket: WebSocket, limit: float, handle: Handle) -> None:
    """Give each round one deadline, the handler's work included."""
    try:
        while True:
            async with asyncio.timeout(limit):
                await handle(websocket, await websocket.receive_text())
    except TimeoutError:
        await websocket.close(4000, "idle")


@exercise.wrong("the wall clock was put forward")
async def wall_clock(websocket: WebSocket, limit: float, handle: Handle) -> None:
    """Look at the time of day."""
    last = time.time()
    while time.time() - last < limit:
        with suppress(TimeoutError):
            text = await asyncio.wait_for(websocket.receive_text(), 0.05)
            await handle(websocket, text)
            last = time.time()
    await websocket.close(4000, "idle")


@exercise.wrong("the client sees no close frame")
async def just_returns(websocket: WebSocket, limit: float, handle: Handle) -> None:
    """End the handler and leave the socket to somebody else."""
    with suppress(TimeoutError):
        while True:
            text = await asyncio.wait_for(websocket.receive_text(), limit)
            await handle(websocket, text)


@exercise.wrong("the socket is still open")
async def only_forgets(websocket: WebSocket, limit: float, handle: Handle) -> None:
    """Note that somebody is idle, as a registry does, and go on."""
    while True:
        with suppress(TimeoutError):
            text = await asyncio.wait_for(websocket.receive_text(), limit)
            await handle(websocket, text)


async def _silent(client: WebSocketClient) -> None:
    given = f"a client that is silent, and a limit of {LIMIT_S:g} s"
    with scene(given, because="the socket is still open: close it with 4000"):
        closed = await client.closed()
    if closed.code == 1006:
        expect(False, given=given, got=closed, because="the client sees no close frame")
    expect_equal(closed.code, 4000, given=given, because="4000 says: idle, come back")


async def _talkative(client: WebSocketClient) -> None:
    given = f"a client that says something every {PAUSE_S:g} s"
    with scene(given, because="each message starts the time anew"):
        for _ in range(4):
            await client.send("hello")
            await client.receive()
            await asyncio.sleep(PAUSE_S)
        await client.send("hello")
        await client.receive()


async def _patient(client: WebSocketClient) -> None:
    given = f"a message that takes {WORK_S:g} s to handle"
    with scene(given, because="the handler was at work: that is not silence"):
        await client.send("work")
        await client.receive()


async def _late_riser(client: WebSocketClient) -> None:
    given = "a client that has just spoken, and a clock that jumps one hour"
    now = time.time
    with scene(given, because="the wall clock was put forward, and nobody was silent"):
        await client.send("hello")
        await client.receive()
        with patch("time.time", lambda: now() + 3600):
            await asyncio.sleep(PAUSE_S)
        await client.send("hello")
        await client.receive()


@exercise.check
async def check(converse: Converse) -> None:
    """Four clients at once: one silent, one talking, one waiting, one when the clock jumps."""
    app = FastAPI()

    async def handle(websocket: WebSocket, text: str) -> None:
        if text == "work":
            await asyncio.sleep(WORK_S)
        await websocket.send_text("done")

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await converse(websocket, LIMIT_S, handle)

    async with LiveServer(app) as server:
        scenes = (_late_riser, _talkative, _patient, _silent)
        clients = [
            await WebSocketClient.connect(f"{server.ws_url}/ws", timeout_s=2) for _ in scenes
        ]
        outcomes = await asyncio.gather(
            *(play(client) for play, client in zip(scenes, clients, strict=True)),
            return_exceptions=True,
        )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
