"""Exercise 10.3: one connection, one story."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Log = Any  # a structlog logger
Converse = Callable[[WebSocket], Awaitable[None]]
Tell = Callable[[WebSocket, Log, Converse], Awaitable[None]]

exercise = Exercise[Tell](
    "10.3",
    title="one connection, one story",
    hints=(
        "`structlog.contextvars.bound_contextvars(connection_id=…)` is for all lines of this task.",
        "The id is the server's: `secrets.token_hex(8)`. A name from the address is not unique.",
        "A line in `finally` is written once, whatever ends the conversation.",
        "The code is known in `except WebSocketDisconnect as gone:`; keep it for the `finally`.",
    ),
)


@exercise.solution
async def tell(websocket: WebSocket, log: Any, converse: Callable[..., Any]) -> None:
    """Run `await converse(websocket)`; its lines have a `connection_id`, the last is `closed`.

    `closed` has a `code`: the client's when it left, 1011 for a bug, 1012 when cancelled. A bug
    and a cancellation pass on.
    """
    # hole: bind an id that the server makes, converse, one `log.info("closed", code=…)` at the end
    with structlog.contextvars.bound_contextvars(connection_id=secrets.token_hex(8)):
        code = 1011
        try:
            await converse(websocket)
            code = 1000
        except WebSocketDisconnect as gone:
            code = gone.code
        except asyncio.CancelledError:
            code = 1012
            raise
        finally:
            log.info("closed", code=code)
    # end


@exercise.wrong("nothing tells that it was cancelled")
async def only_when_it_leaves(websocket: WebSocket, log: Log, converse: Converse) -> None:
    """Write the line where the guide does."""
    with structlog.contextvars.bound_contextvars(connection_id=secrets.token_hex(8)):
        try:
            await converse(websocket)
        except WebSocketDisconnect as gone:
            log.info("closed", code=gone.code)
        except Exception:
            log.info("closed", code=1011)
            raise


@exercise.wrong("two connections have one id")
async def by_the_client_s_name(websocket: WebSocket, log: Log, converse: Converse) -> None:
    """Take the id from the address."""
    name = websocket.query_params.get("name")
    with structlog.contextvars.bound_contextvars(connection_id=name):
        code = 1011
        try:
            await converse(websocket)
        except WebSocketDisconnect as gone:
            code = gone.code
        except asyncio.CancelledError:
            code = 1012
            raise
        finally:
            log.info("closed", code=code)


@exercise.wrong("a line of the business code has no connection_id")
async def binds_its_own_logger(websocket: WebSocket, log: Log, converse: Converse) -> None:
    """Bind the id to one logger."""
    log = log.bind(connection_id=secrets.token_hex(8))
    code = 1011
    try:
        await converse(websocket)
    except WebSocketDisconnect as gone:
        code = gone.code
    except asyncio.CancelledError:
        code = 1012
        raise
    finally:
        log.info("closed", code=code)


@exercise.wrong("exactly one `closed` line")
async def twice(websocket: WebSocket, log: Log, converse: Converse) -> None:
    """Write it where it is known, and at the end."""
    with structlog.contextvars.bound_contextvars(connection_id=secrets.token_hex(8)):
        code = 1011
        try:
            await converse(websocket)
        except WebSocketDisconnect as gone:
            code = gone.code
            log.info("closed", code=code)
        except asyncio.CancelledError:
            code = 1012
            raise
        finally:
            log.info("closed", code=code)


@exercise.wrong("a cancellation was swallowed")
async def swallows(websocket: WebSocket, log: Log, converse: Converse) -> None:
    """End in peace, whatever happens."""
    with structlog.contextvars.bound_contextvars(connection_id=secrets.token_hex(8)):
        code = 1011
        try:
            with suppress(asyncio.CancelledError):
                code = 1012
                await converse(websocket)
        except WebSocketDisconnect as gone:
            code = gone.code
        except KeyError:
            code = 1011
            raise
        finally:
            log.info("closed", code=code)


class Newsroom:
    """The learner's function on a real server, and what was written."""

    def __init__(self, tell: Tell) -> None:
        self.out = io.StringIO()
        self.ended: list[str] = []
        log = structlog.wrap_logger(
            structlog.PrintLogger(self.out),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.BoundLogger,
        )
        app = FastAPI()
        self.server = LiveServer(app, timeout_graceful_shutdown=0.1)

        async def converse(websocket: WebSocket) -> None:
            while True:
                text = await websocket.receive_text()
                log.info("said")
                await websocket.send_text(text)
                if text == "bug":
                    raise KeyError("a bug")
                if text == "work":
                    await asyncio.Event().wait()

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await tell(websocket, log, converse)
            except BaseException as error:
                self.ended.append(type(error).__name__)
                if not isinstance(error, KeyError):
                    raise
            else:
                self.ended.append("nothing")

    async def join(self, first: str) -> WebSocketClient:
        """Connect under a name that others have as well, and say something."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws?name=ada")
        await client.send(first)
        await client.receive()
        return client

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was written, parsed."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    @property
    def codes(self) -> list[Any]:
        """The codes of the `closed` lines."""
        return [line.get("code") for line in self.lines if line["event"] == "closed"]


@exercise.check
async def check(tell: Tell) -> None:
    """Four of one name: a goodbye, a bug, a cut, and one cancelled with the server."""
    room = Newsroom(tell)
    async with room.server:
        with scene("4 connections", because="somebody was not answered"):
            polite, _bug, cut, _busy = [await room.join(t) for t in ("x", "bug", "y", "work")]
        await polite.close(1001)
        reset(cut)
        with scene("3 that have ended", because="their conversations did not end"):
            await until(lambda: len(room.ended) == 3)
    given = "4 connections of one name"
    because = "a line of the business code has no connection_id"
    bare = [line for line in room.lines if not line.get("connection_id")]
    expect(not bare, given=given, got=bare[:1], because=because)
    ids = {line["connection_id"] for line in room.lines}
    because = "two connections have one id: the server makes it"
    expect_equal(len(ids), 4, given=given, because=because)
    given, because = "a goodbye with 1001", "exactly one `closed` line, with the client's code"
    expect_equal(room.codes.count(1001), 1, given=given, because=because)
    because = "nothing tells that it was cancelled: write it in `finally`, code 1012"
    expect_equal(room.codes.count(1012), 1, given="one that was at work", because=because)
    because = "exactly one `closed` line for each, the bug's with 1011"
    expect_equal(len(room.codes), 4, given="4 that have ended", because=because)
    expect_equal(room.codes.count(1011), 1, given="a bug", because=because)
    because = "a cancellation was swallowed: raise it again"
    expect_equal(room.ended[-1], "CancelledError", given="the server ends", because=because)
