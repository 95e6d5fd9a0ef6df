"""Exercise 2.3: sent is not delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Confirmed = Callable[[WebSocket, list[Any], float], Awaitable[int]]

exercise = Exercise[Confirmed](
    "2.3",
    title="count what arrived",
    timeout_s=15,
    hints=(
        'Only an answer of the client proves that a message arrived: `{"ack": id}`.',
        "A set of the ids that were answered counts each once, and only those you sent.",
        "`asyncio.timeout(deadline_s)` around the waiting ends it; keep what you have by then.",
    ),
)


@exercise.solution
async def confirmed(websocket: WebSocket, payloads: list[Any], deadline_s: float) -> int:
    """Send `{"id": n, "data": payload}` for each; return how many ids were acknowledged."""
    for number, payload in enumerate(payloads):
        await websocket.send_json({"id": number, "data": payload})
    # hole: collect {"ack": id} until all have come or the deadline has passed
    acknowledged: set[int] = set()
    try:
        async with asyncio.timeout(deadline_s):
            while len(acknowledged) < len(payloads):
                ack = (await websocket.receive_json()).get("ack")
                if ack in range(len(payloads)):
                    acknowledged.add(ack)
    except TimeoutError:
        pass
    return len(acknowledged)
    # end


@exercise.wrong("sent is not delivered")
async def counts_sends(websocket: WebSocket, payloads: list[Any], deadline_s: float) -> int:
    """Return what was handed to the system."""
    for number, payload in enumerate(payloads):
        await websocket.send_json({"id": number, "data": payload})
    return len(payloads)


@exercise.wrong("the deadline has passed")
async def waits_for_ever(websocket: WebSocket, payloads: list[Any], deadline_s: float) -> int:
    """Believe that all will answer."""
    for number, payload in enumerate(payloads):
        await websocket.send_json({"id": number, "data": payload})
    acknowledged: set[int] = set()
    while len(acknowledged) < len(payloads):
        acknowledged.add((await websocket.receive_json())["ack"])
    return len(acknowledged)


@exercise.wrong("one message was acknowledged twice")
async def counts_answers(websocket: WebSocket, payloads: list[Any], deadline_s: float) -> int:
    """Count every answer, the repeated ones too."""
    for number, payload in enumerate(payloads):
        await websocket.send_json({"id": number, "data": payload})
    count = 0
    try:
        async with asyncio.timeout(deadline_s):
            while count < len(payloads):
                await websocket.receive_json()
                count += 1
    except TimeoutError:
        pass
    return count


@exercise.wrong("that id was never sent")
async def believes_every_id(websocket: WebSocket, payloads: list[Any], deadline_s: float) -> int:
    """Count different ids, whatever they are."""
    for number, payload in enumerate(payloads):
        await websocket.send_json({"id": number, "data": payload})
    acknowledged: set[int] = set()
    try:
        async with asyncio.timeout(deadline_s):
            while len(acknowledged) < len(payloads):
                acknowledged.add((await websocket.receive_json()).get("ack"))
    except TimeoutError:
        pass
    return len(acknowledged)


CASES: tuple[tuple[str, list[int], int, str], ...] = (
    ("a client that answers everything", [0, 1, 2, 3, 4], 5, "all five arrived"),
    ("a client that answers two of five", [0, 1], 2, "sent is not delivered"),
    ("a client that answers one twice", [0, 1, 1], 2, "one message was acknowledged twice"),
    ("a client that invents an id", [0, 99], 1, "that id was never sent"),
)
DEADLINE_S = 0.3


@exercise.check
async def check(confirmed: Confirmed) -> None:
    """Four clients on a real server, each with its own idea of answering."""
    app, counted = FastAPI(), asyncio.Queue[int]()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        counted.put_nowait(await confirmed(websocket, ["x"] * 5, DEADLINE_S))
        async for _ in websocket.iter_text():  # until the client leaves
            pass

    async with LiveServer(app) as server:
        for given, acks, wanted, because in CASES:
            async with await WebSocketClient.connect(f"{server.ws_url}/ws") as client:
                with scene(given, because="the five messages did not come"):
                    await client.receive_many(5)
                for ack in acks:
                    await client.send({"ack": ack})
                with scene(given, because="the deadline has passed, and it still waits"):
                    async with asyncio.timeout(DEADLINE_S + 2):
                        got = await counted.get()
                expect_equal(got, wanted, given=given, because=because)
