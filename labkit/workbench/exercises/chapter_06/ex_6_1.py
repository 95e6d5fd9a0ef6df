"""Exercise 6.1: let the goodbye out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.types import Message

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Handle = Callable[[WebSocket, Any], Awaitable[None]]
Converse = Callable[[WebSocket, Handle], Awaitable[None]]

exercise = Exercise[Converse](
    "6.1",
    title="let the goodbye out",
    hints=(
        "`WebSocketDisconnect` is an `Exception`, too. Which clause catches it now?",
        "Python takes the first clause that fits: put one for the disconnect before the others.",
        "What the client hears is yours to write. `str(error)` is not yours.",
    ),
)


@exercise.solution
async def converse(websocket: WebSocket, handle: Callable[..., Any]) -> None:
    """Hand each message to `handle`; a message that fails is answered, a goodbye ends it."""
    while True:
        # hole: return on a disconnect, reply {"type": "error", "message": "failed"} to any failure
        try:
            await handle(websocket, json.loads(await websocket.receive_text()))
        except WebSocketDisconnect:
            return
        except Exception:
            await websocket.send_json({"type": "error", "message": "failed"})
        # end


@exercise.wrong("the loop came back a hundred times after the goodbye")
async def spins(websocket: WebSocket, handle: Handle) -> None:
    """Do as the guide does: catch everything, a goodbye as well, and ask again."""
    while True:
        try:
            await handle(websocket, json.loads(await websocket.receive_text()))
        except Exception:
            with suppress(Exception):
                await websocket.send_json({"type": "error", "message": "failed"})


@exercise.wrong("one bad message is no reason to hang up")
async def hangs_up(websocket: WebSocket, handle: Handle) -> None:
    """Leave the loop for every failure."""
    while True:
        try:
            await handle(websocket, json.loads(await websocket.receive_text()))
        except Exception:
            return


@exercise.wrong("it repeats the exception's own words")
async def tells_everything(websocket: WebSocket, handle: Handle) -> None:
    """Be helpful to strangers."""
    while True:
        try:
            await handle(websocket, json.loads(await websocket.receive_text()))
        except WebSocketDisconnect:
            return
        except Exception as error:
            await websocket.send_json({"type": "error", "message": str(error)})


@exercise.wrong("a goodbye is no failure of yours")
async def lets_it_escape(websocket: WebSocket, handle: Handle) -> None:
    """Let the disconnect out of the loop, and out of the endpoint."""
    while True:
        try:
            await handle(websocket, json.loads(await websocket.receive_text()))
        except WebSocketDisconnect as error:
            raise RuntimeError("client left") from error
        except Exception:
            await websocket.send_json({"type": "error", "message": "failed"})


class _Bounded(WebSocket):
    """A WebSocket that stops a spinning loop: asked for the hundredth time, it only waits."""

    def __init__(self, websocket: WebSocket, spinning: asyncio.Event) -> None:
        super().__init__(websocket.scope, websocket.receive, websocket.send)
        self._asked, self._spinning = 0, spinning

    async def receive(self) -> Message:
        """Receive; a caller that has heard the goodbye hears an error, and at last nothing."""
        try:
            return await super().receive()
        except RuntimeError:
            self._asked += 1
            if self._asked >= 100:
                self._spinning.set()
                await asyncio.Event().wait()
            raise


class _Scene:
    """One endpoint around the answer, and what became of its conversations."""

    def __init__(self, converse: Converse) -> None:
        self.app, self.spinning = FastAPI(), asyncio.Event()
        self.ended: list[str] = []

        async def handle(websocket: WebSocket, message: Any) -> None:
            if message == "bug":
                raise KeyError("postgresql://app:hunter2@db")
            await websocket.send_json({"type": "ok"})

        @self.app.get("/health")
        async def health() -> str:
            return "ok"

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket) -> None:
            bounded = _Bounded(websocket, self.spinning)
            await bounded.accept()
            try:
                await converse(bounded, handle)
            except Exception as error:
                self.ended.append(type(error).__name__)
            else:
                self.ended.append("returned")


@exercise.check
async def check(converse: Converse) -> None:
    """Three messages, then twenty clients that vanish; a spinning loop is stopped by the check."""
    room = _Scene(converse)
    async with LiveServer(room.app) as server:
        async with await WebSocketClient.connect(f"{server.ws_url}/ws") as client:
            for given, text, wanted in (
                ("a good message", "1", "ok"),
                ("text that is not JSON", "{", "error"),
                ("a handler with a bug", '"bug"', "error"),
                ("a good message after that", "1", "ok"),
            ):
                with scene(given, because="one bad message is no reason to hang up"):
                    await client.send(text)
                    reply = await client.receive_json()
                because = "it repeats the exception's own words, and a password is among them"
                expect("hunter2" not in str(reply), given=given, got=reply, because=because)
                because = "every message has an answer"
                expect_equal(reply.get("type"), wanted, given=given, because=because)
        guests = [await WebSocketClient.connect(f"{server.ws_url}/ws") for _ in range(20)]
        reset(*guests)
        given = "20 clients that vanish"
        with scene(given, because="the endpoint has not noticed that they left"):
            await until(lambda: len(room.ended) == 21 or room.spinning.is_set(), timeout_s=3)
        because = "the loop came back a hundred times after the goodbye, and was stopped"
        expect(not room.spinning.is_set(), given=given, got="no end", because=because)
        because = "a goodbye is no failure of yours: return"
        expect_equal({*room.ended}, {"returned"}, given=given, because=because)
        async with httpx.AsyncClient(timeout=3, trust_env=False) as http:
            await http.get(f"{server.url}/health")
