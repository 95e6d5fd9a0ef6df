"""Exercise 5.2: one ticket, one guest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, WebSocket
from redis.asyncio import Redis

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Take = Callable[[Any, str], Awaitable[str | None]]

exercise = Exercise[Take](
    "5.2",
    title="one ticket, one guest",
    hints=(
        "Between a look and a deletion there is an `await`: four others look meanwhile.",
        "The server can do both in one step.",
        "The command is GETDEL: `await client.getdel(ticket)`. It returns None if there is none.",
    ),
)


@exercise.solution
async def take(client: Any, ticket: str) -> str | None:
    """Use a ticket up: return whose it is, or None if it is not good any more."""
    # hole: of five who try at the same moment, one gets the name
    user: str | None = await client.getdel(ticket)
    return user
    # end


@exercise.wrong("it was good for more than one")
async def looks_then_deletes(client: Any, ticket: str) -> str | None:
    """Let others in between."""
    user: str | None = await client.get(ticket)
    await client.delete(ticket)
    return user


@exercise.wrong("a spent ticket still opens the door")
async def only_looks(client: Any, ticket: str) -> str | None:
    """Leave it to its lifetime."""
    user: str | None = await client.get(ticket)
    return user


@exercise.wrong("nobody gets in")
async def deletes_then_looks(client: Any, ticket: str) -> str | None:
    """Burn it first."""
    await client.delete(ticket)
    user: str | None = await client.get(ticket)
    return user


@exercise.wrong("whose is it?")
async def only_deletes(client: Any, ticket: str) -> str | None:
    """Use that a deletion tells whether there was anything, and forget who came."""
    return "guest" if await client.delete(ticket) else None


CODES = {"ada": 1000, None: 4500}
AT_ONCE = 5


@exercise.check
async def check(take: Take) -> None:
    """One guest, a replay, a stranger, five at once: on a real Valkey, over real sockets."""
    app, together = FastAPI(), asyncio.Barrier(AT_ONCE)
    with ValkeyServer() as valkey:
        async with Redis.from_url(valkey.url, decode_responses=True) as client:

            @app.websocket("/ws")
            async def door(websocket: WebSocket, ticket: str) -> None:
                if ticket == "race":
                    await together.wait()
                user = await take(client, ticket)
                await websocket.accept()
                await websocket.close(CODES.get(user, 4000))

            async with LiveServer(app) as server:
                await asyncio.gather(*(client.ping() for _ in range(AT_ONCE)))
                await client.set("one", "ada")
                for given, ticket, wanted, because in CASES:
                    got = await _try(server, ticket)
                    expect(got != 4000, given=given, got="another name", because="whose is it?")
                    expect_equal(got, wanted, given=given, because=because)
                await client.set("race", "ada")
                codes = await asyncio.gather(*(_try(server, "race") for _ in range(AT_ONCE)))
                because = "it was good for more than one: look and delete in one step"
                given = "five with the same ticket at once"
                expect_equal(codes.count(1000), 1, given=given, because=because)


CASES: tuple[tuple[str, str, int, str], ...] = (
    ("a fresh ticket", "one", 1000, "nobody gets in"),
    ("a replay", "one", 4500, "a spent ticket still opens the door"),
    ("an unknown ticket", "unknown", 4500, "nobody made it"),
)


async def _try(server: LiveServer, ticket: str) -> int:
    async with await WebSocketClient.connect(f"{server.ws_url}/ws?ticket={ticket}") as client:
        return (await client.closed()).code
