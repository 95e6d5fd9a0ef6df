"""Exercise 9.3: ask your own client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Handle = Callable[[Any], Coroutine[Any, Any, None]]
Settle = Callable[[Any], None]
Converse = Callable[[WebSocket, Handle, Settle], Awaitable[None]]

exercise = Exercise[Converse](
    "9.3",
    title="ask your own client",
    hints=(
        "Whoever reads must not wait for a handler, or nobody reads the answer it waits for.",
        "Give the messages to a queue, and let a second task take them out one by one.",
        "Start it in an `asyncio.TaskGroup`; cancel it in a `finally` when the client leaves.",
    ),
)


@exercise.solution
async def converse(
    websocket: WebSocket, handle: Callable[..., Any], settle: Callable[..., None]
) -> None:
    """Settle answers as they come; handle all other messages in order, one after the other."""
    # hole: read without ever waiting for `handle`; return when the client leaves
    waiting: asyncio.Queue[Any] = asyncio.Queue()

    async def work() -> None:
        while True:
            await handle(await waiting.get())

    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(work())
        try:
            while True:
                message = await websocket.receive_json()
                if message["type"] == "answer":
                    settle(message)
                else:
                    waiting.put_nowait(message)
        except WebSocketDisconnect:
            pass
        finally:
            worker.cancel()
    # end


@exercise.wrong("the answer lies unread behind the question")
async def awaits_in_the_reader(websocket: WebSocket, handle: Handle, settle: Settle) -> None:
    """Do as the guide does."""
    try:
        while True:
            message = await websocket.receive_json()
            if message["type"] == "answer":
                settle(message)
            else:
                await handle(message)
    except WebSocketDisconnect:
        pass


@exercise.wrong("in another order than they were sent")
async def one_task_each(websocket: WebSocket, handle: Handle, settle: Settle) -> None:
    """Start a task for each message."""
    async with asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []
        try:
            while True:
                message = await websocket.receive_json()
                if message["type"] == "answer":
                    settle(message)
                else:
                    running.append(tasks.create_task(handle(message)))
        except WebSocketDisconnect:
            for task in running:
                task.cancel()


@exercise.wrong("the client left, and its conversation goes on")
async def leaves_the_worker(websocket: WebSocket, handle: Handle, settle: Settle) -> None:
    """Forget that a task group waits for its tasks."""
    waiting: asyncio.Queue[Any] = asyncio.Queue()

    async def work() -> None:
        while True:
            await handle(await waiting.get())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        try:
            while True:
                message = await websocket.receive_json()
                if message["type"] == "answer":
                    settle(message)
                else:
                    waiting.put_nowait(message)
        except WebSocketDisconnect:
            pass


class _Shop:
    """An endpoint whose handler asks back before it confirms an order."""

    def __init__(self, converse: Converse) -> None:
        self.app, self.ended = FastAPI(), asyncio.Event()

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            async def handle(message: Any) -> None:
                if message["type"] == "order":
                    await websocket.send_json({"type": "ask"})
                    await websocket.send_json({"type": "sold", "to": await reply})
                else:
                    await websocket.send_json({"type": message["type"]})

            await converse(websocket, handle, lambda message: reply.set_result(message["data"]))
            self.ended.set()


@exercise.check
async def check(converse: Converse) -> None:
    """An order that is confirmed by its client, a message in between, and a goodbye."""
    shop = _Shop(converse)
    async with LiveServer(shop.app, timeout_graceful_shutdown=0.1) as server:
        url = f"{server.ws_url}/ws"
        async with await WebSocketClient.connect(url, timeout_s=0.5) as ada:
            given = "a handler that asks its own client"
            because = "the answer lies unread behind the question it answers"
            with scene(given, because=because):
                await ada.send({"type": "order"})
                said = [(await ada.receive_json())["type"]]
                await ada.send({"type": "after"})
                async with asyncio.timeout(0.5):
                    for _ in range(3):  # time for those who do not wait for their turn
                        await (await ada.connection.ping())
                await ada.send({"type": "answer", "data": "ada"})
                said += [message["type"] for message in await ada.receive_many(2)]
            because = "they were handled in another order than they were sent"
            expect_equal(said, ["ask", "sold", "after"], given=given, because=because)
        with scene("a client that leaves", because="the client left, and its conversation goes on"):
            async with asyncio.timeout(0.5):
                await shop.ended.wait()
