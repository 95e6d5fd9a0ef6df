"""Exercise 2.2: borrow for a message, not for a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Borrow = Callable[[], AbstractAsyncContextManager[str]]
Serve = Callable[[WebSocket, Borrow], Awaitable[None]]

exercise = Exercise[Serve](
    "2.2",
    title="borrow, use, give back",
    hints=(
        "How long does the endpoint hold the connection now? How long does it need it?",
        "`async with borrow() as database:` belongs inside the loop.",
    ),
)


@exercise.solution
async def serve_rows(websocket: WebSocket, borrow: Callable[..., Any]) -> None:
    """Answer each text with what the database says; `borrow()` lends a connection to it."""
    await websocket.accept()
    # hole: async for text in websocket.iter_text(): borrow, ask f"{database}:{text}", answer
    async for text in websocket.iter_text():
        async with borrow() as database:
            answer = f"{database}:{text}"
        await websocket.send_text(answer)
    # end


@exercise.wrong("an idle socket holds a connection")
async def keeps_it(websocket: WebSocket, borrow: Borrow) -> None:
    """Borrow for as long as the client stays."""
    await websocket.accept()
    async with borrow() as database:
        async for text in websocket.iter_text():
            await websocket.send_text(f"{database}:{text}")


@exercise.wrong("an idle socket holds a connection")
async def borrows_first(websocket: WebSocket, borrow: Borrow) -> None:
    """Borrow once, before the first message has come."""
    async with borrow() as database:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{database}:{text}")


_loans: list[object] = []


@exercise.wrong("what was borrowed was not given back")
async def never_gives_back(websocket: WebSocket, borrow: Borrow) -> None:
    """Enter, and never leave."""
    await websocket.accept()
    async for text in websocket.iter_text():
        loan = borrow()
        _loans.append(loan)
        database = await loan.__aenter__()
        await websocket.send_text(f"{database}:{text}")


@exercise.wrong("the database was not asked")
async def never_borrows(websocket: WebSocket, borrow: Borrow) -> None:
    """Answer from thin air."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@exercise.check
async def check(serve_rows: Serve) -> None:
    """Five idle sockets and a pool of two, then everyone asks twice."""
    slots, held, app = asyncio.Semaphore(2), [0], FastAPI()

    @asynccontextmanager
    async def borrow() -> AsyncIterator[str]:
        async with slots:
            held[0] += 1
            try:
                yield "row"
            finally:
                held[0] -= 1

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await serve_rows(websocket, borrow)

    given = "five sockets and a pool of two"
    async with LiveServer(app) as server:
        url = f"{server.ws_url}/ws"
        with scene(given, because="an idle socket holds a connection, so the pool is empty"):
            clients = [await WebSocketClient.connect(url, timeout_s=1) for _ in range(5)]
        expect_equal(held[0], 0, given=given, because="an idle socket holds a connection")
        with scene(given, because="what was borrowed was not given back, so the pool is empty"):
            for number in range(2):
                for client in clients:
                    await client.send(str(number))
                    got = await client.receive()
                    wanted = f"row:{number}"
                    expect_equal(got, wanted, given=given, because="the database was not asked")
        expect_equal(held[0], 0, given=given, because="what was borrowed was not given back")
