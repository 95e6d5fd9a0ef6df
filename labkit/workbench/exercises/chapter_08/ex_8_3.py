"""Exercise 8.3: whose budget is it?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import Disconnected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Whose = Callable[[WebSocket, str | None], str]
LIMIT = 10

exercise = Exercise[Whose](
    "8.3",
    title="a new connection is no new budget",
    hints=(
        "What stays the same when a client reconnects, and is not chosen by it?",
        "`user` was proven by a token: nothing is better. Without one there is the address.",
        "`websocket.client.host` is the address; the port is another one for each connection.",
        "Write the kind before the value, so that no user is called like an address.",
    ),
)


@exercise.solution
def budget_of(websocket: WebSocket, user: str | None) -> str:
    """Name the budget that a message is counted in: the proven user's, or the address's."""
    # hole: `user:…` when there is one, else `address:…`
    if user is not None:
        return f"user:{user}"
    return f"address:{websocket.client.host if websocket.client else 'unknown'}"
    # end


@exercise.wrong("the client chose that id")
def by_id(websocket: WebSocket, user: str | None) -> str:
    """Take the id from the path, as the guide does."""
    return f"id:{websocket.path_params['connection_id']}"


@exercise.wrong("the port is new with every connection")
def by_port(websocket: WebSocket, user: str | None) -> str:
    """Take the whole address."""
    return f"user:{user}" if user else f"address:{websocket.client}"


@exercise.wrong("the client wrote that header")
def by_header(websocket: WebSocket, user: str | None) -> str:
    """Believe a header."""
    return f"user:{user}" if user else f"address:{websocket.headers.get('x-forwarded-for')}"


@exercise.wrong("two users behind one address")
def by_address_only(websocket: WebSocket, user: str | None) -> str:
    """Put a whole office into one budget."""
    return f"address:{websocket.client.host if websocket.client else ''}"


@exercise.wrong("a user who is called like an address")
def without_a_kind(websocket: WebSocket, user: str | None) -> str:
    """Forget which kind of name it is."""
    return user or (websocket.client.host if websocket.client else "")


class Counted:
    """A real server that counts what it hears, budget by budget."""

    def __init__(self, budget_of: Whose) -> None:
        self.spent: Counter[str] = Counter()
        app = FastAPI()
        self.server = LiveServer(app, proxy_headers=False)  # no proxy is before it

        @app.websocket("/ws/{connection_id}")
        async def endpoint(websocket: WebSocket, connection_id: str) -> None:
            await websocket.accept()
            user = websocket.headers.get("x-proven-user")  # a gate before us has proven it
            async for _ in websocket.iter_text():
                budget = budget_of(websocket, user)
                self.spent[budget] += 1
                if self.spent[budget] > LIMIT:
                    await websocket.close(1008)
                    return
                await websocket.send_text("heard")

    async def say(self, name: str, times: int, **headers: str) -> int:
        """Connect, say something, and return how often it was heard."""
        heard = 0
        url = f"{self.server.ws_url}/ws/{name}"
        async with await WebSocketClient.connect(url, headers=headers) as client:
            for _ in range(times):
                try:
                    await client.send("hello")
                    await client.receive()
                except Disconnected:
                    break
                heard += 1
        return heard


@exercise.check
async def check(budget_of: Whose) -> None:
    """Ten connections of a stranger, two users in one office, and a user with an odd name."""
    counted = Counted(budget_of)
    async with counted.server:
        with scene("10 connections", because="the function must return a text"):
            heads = [{"x-forwarded-for": f"192.0.2.{n}"} for n in range(10)]
            heard = await asyncio.gather(*(counted.say(f"c{n}", 5, **heads[n]) for n in range(10)))
        got = f"{sum(heard)} messages heard, {LIMIT} allowed"
        expect(sum(heard) <= LIMIT, given="10 connections of one address", got=got,
               because=_cause(counted))  # fmt: skip
        heard = [
            await counted.say("x", LIMIT, **{"x-proven-user": user}) for user in ("ada", "bob")
        ]
        because = "two users behind one address share what is not theirs"
        expect_equal(heard, [LIMIT, LIMIT], given="two users in one office", because=because)
        odd = await counted.say("x", LIMIT, **{"x-proven-user": "127.0.0.1"})
        because = "a user who is called like an address spends its budget: write the kind first"
        expect_equal(odd, LIMIT, given="a user called 127.0.0.1", because=because)


def _cause(counted: Counted) -> str:
    budgets = " ".join(counted.spent)
    if "192.0.2." in budgets:
        return "the client wrote that header itself"
    if "c1" in budgets:
        return "the client chose that id"
    return "the port is new with every connection"
