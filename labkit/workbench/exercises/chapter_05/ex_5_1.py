"""Exercise 5.1: down is not wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, WebSocket

from labkit.auth import BadCredentials
from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Verify = Callable[[str], Awaitable[str]]
Decide = Callable[[Verify, str], Awaitable[int | str]]

exercise = Exercise[Decide](
    "5.1",
    title="down is not wrong",
    hints=(
        "Three things can happen besides success: a bad token, an outage, a bug. Catch two.",
        "ConnectionError and TimeoutError are both an OSError.",
        "`async with asyncio.timeout(0.3):` raises TimeoutError around a call that hangs.",
    ),
)


@exercise.solution
async def decide(verify: Callable[[str], Awaitable[str]], token: str) -> int | str:
    """Return the user that `await verify(token)` returns, or the close code of the refusal."""
    # hole: 4500 for BadCredentials; 1013 for an outage, also after 0.3 s; a bug is not caught
    try:
        async with asyncio.timeout(0.3):
            return await verify(token)
    except BadCredentials:
        return 4500
    except OSError:
        return 1013
    # end


@exercise.wrong("4500 tells a good user to stop")
async def blames_the_token(verify: Verify, token: str) -> int | str:
    """Do as the guide does."""
    try:
        async with asyncio.timeout(0.3):
            return await verify(token)
    except Exception:
        return 4500


@exercise.wrong("1013 tells it to come back, for ever")
async def always_comes_back(verify: Verify, token: str) -> int | str:
    """Be nice to everyone."""
    try:
        async with asyncio.timeout(0.3):
            return await verify(token)
    except Exception:
        return 1013


@exercise.wrong("the client still waits")
async def waits_for_ever(verify: Verify, token: str) -> int | str:
    """Trust the authentication service to answer."""
    try:
        return await verify(token)
    except BadCredentials:
        return 4500
    except OSError:
        return 1013


@exercise.wrong("a bug of ours must be seen")
async def hides_the_bug(verify: Verify, token: str) -> int | str:
    """Call everything else an outage."""
    try:
        async with asyncio.timeout(0.3):
            return await verify(token)
    except BadCredentials:
        return 4500
    except Exception:
        return 1013


@exercise.wrong("let the good ones in")
async def refuses_all(verify: Verify, token: str) -> int | str:
    """Forget to return the user."""
    try:
        async with asyncio.timeout(0.3):
            await verify(token)
    except BadCredentials:
        return 4500
    except OSError:
        return 1013
    return 4500


CASES: tuple[tuple[str, str, str], ...] = (
    ("good", "close 1000", "let the good ones in"),
    ("wrong", "close 4500", "1013 tells it to come back, for ever, with the same bad token"),
    ("down", "close 1013", "4500 tells a good user to stop, in the middle of our outage"),
    ("hangs", "close 1013", "the client still waits for an answer"),
    ("bug", "HTTP 500", "a bug of ours must be seen: let it rise"),
)


async def _verify(token: str) -> str:
    if token == "wrong":  # noqa: S105 - a word that says what happens
        raise BadCredentials("wrong signature")
    if token == "down":  # noqa: S105 - as above
        raise ConnectionError("the authentication service refuses connections")
    if token == "bug":  # noqa: S105 - as above
        raise KeyError("user")
    if token == "hangs":  # noqa: S105 - as above
        await asyncio.Event().wait()
    return "ada"


@exercise.check
async def check(decide: Decide) -> None:
    """Five tokens at a real door: good, wrong, service down, service hangs, bug."""
    app = FastAPI()

    @app.websocket("/ws")
    async def door(websocket: WebSocket, token: str) -> None:
        code = await decide(_verify, token)
        await websocket.accept()
        await websocket.close(code if isinstance(code, int) else 1000 if code == "ada" else 4000)

    async with LiveServer(app) as server:
        for token, wanted, because in CASES:
            given = f"verification: {token}"
            got = await _outcome(f"{server.ws_url}/ws?token={token}")
            expect(got != "silence", given=given, got=got, because="the client still waits")
            expect_equal(got, wanted, given=given, because=because)


async def _outcome(url: str) -> str:
    try:
        async with await WebSocketClient.connect(url, timeout_s=1.5) as client:
            return f"close {(await client.closed()).code}"
    except Rejected as error:
        return f"HTTP {error.status}"
    except TimeoutError:
        return "silence"
