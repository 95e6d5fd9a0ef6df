"""Exercise 4.3: tell everyone, wait for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, Refused, expect, expect_equal, scene

SayGoodbye = Callable[[list[WebSocket], float], Awaitable[None]]

exercise = Exercise[SayGoodbye](
    "4.3",
    title="tell everyone, wait for nobody",
    hints=(
        "Write a function for one client first: notice, then `close(1012, …)`.",
        "`async with asyncio.timeout(budget):` around both ends the wait for a stalled one.",
        "A client that has left raises. Catch that for each one alone.",
        "`asyncio.gather(*(one(each) for each in websockets))` does it for all at once.",
    ),
    timeout_s=20,
)


@exercise.solution
async def say_goodbye(websockets: list[WebSocket], budget: float) -> None:
    """Send each `{"type": "shutdown"}` and close it with 1012, in at most `budget` seconds."""

    # hole: all at once; one that is stalled or gone is nobody else's business
    async def one(websocket: WebSocket) -> None:
        with suppress(Exception):
            async with asyncio.timeout(budget):
                await websocket.send_json({"type": "shutdown"})
                await websocket.close(1012, "restart")

    await asyncio.gather(*(one(each) for each in websockets))
    # end


@exercise.wrong("everyone behind the stalled one waits")
async def one_after_the_other(websockets: list[WebSocket], budget: float) -> None:
    """Walk through the list, as the guide does, with a deadline at least."""
    for websocket in websockets:
        with suppress(Exception):
            async with asyncio.timeout(budget):
                await websocket.send_json({"type": "shutdown"})
                await websocket.close(1012)


@exercise.wrong("the stalled one is waited for, budget or not")
async def without_a_budget(websockets: list[WebSocket], budget: float) -> None:
    """Tell all at once, and wait for all."""

    async def one(websocket: WebSocket) -> None:
        with suppress(Exception):
            await websocket.send_json({"type": "shutdown"})
            await websocket.close(1012)

    await asyncio.gather(*(one(each) for each in websockets))


@exercise.wrong("who has left has left")
async def one_for_all(websockets: list[WebSocket], budget: float) -> None:
    """Let the first failure end the whole round."""

    async def one(websocket: WebSocket) -> None:
        async with asyncio.timeout(budget):
            await websocket.send_json({"type": "shutdown"})
            await websocket.close(1012)

    await asyncio.gather(*(one(each) for each in websockets))


@exercise.wrong("1000 tells it to stay away")
async def closes_with_1000(websockets: list[WebSocket], budget: float) -> None:
    """Close with the default code."""

    async def one(websocket: WebSocket) -> None:
        with suppress(Exception):
            async with asyncio.timeout(budget):
                await websocket.send_json({"type": "shutdown"})
                await websocket.close()

    await asyncio.gather(*(one(each) for each in websockets))


@exercise.wrong("a close code is not a notice")
async def says_nothing(websockets: list[WebSocket], budget: float) -> None:
    """Close without a word."""

    async def one(websocket: WebSocket) -> None:
        with suppress(Exception):
            async with asyncio.timeout(budget):
                await websocket.close(1012)

    await asyncio.gather(*(one(each) for each in websockets))


class Hall:
    """Sockets on a real server, in the order in which they came."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []
        app = FastAPI()
        self.server = LiveServer(app)

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            self.sockets.append(websocket)
            with suppress(Exception):
                while True:
                    await websocket.receive_text()

    async def fill(self) -> tuple[WebSocketClient, StalledReader, WebSocketClient]:
        """Connect one who leaves, one who is stalled, and one who is well; return the three."""
        self.sockets.clear()
        gone = await WebSocketClient.connect(f"{self.server.ws_url}/ws")
        stalled = await StalledReader.connect(f"{self.server.ws_url}/ws")
        well = await WebSocketClient.connect(f"{self.server.ws_url}/ws", timeout_s=2)
        while len(self.sockets) < 3:  # noqa: ASYNC110 - the engine has a deadline
            await asyncio.sleep(0.005)
        await gone.close()
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.2):
                    await self.sockets[1].send_bytes(b"x" * 65_536)
        return gone, stalled, well


@exercise.check
async def check(say_goodbye: SayGoodbye) -> None:
    """One who has left, one who is stalled, and behind them one who is well."""
    hall = Hall()
    async with hall.server:
        given = "one who has left, one who is stalled, and one who is well"
        _, stalled, well = await hall.fill()
        task = asyncio.ensure_future(say_goodbye(list(hall.sockets), 60.0))
        try:
            with scene(given, because="everyone behind the stalled one waits"):
                notice, code = await _end_of(well)
        finally:
            task.cancel()
            await asyncio.wait({task})
            stalled.close()
        expect_equal(notice, "shutdown", given=given, because="a close code is not a notice")
        because = (
            "1000 tells it to stay away" if code == 1000 else "1012 says: a restart, come back"
        )
        expect_equal(code, 1012, given=given, because=because)
        _, stalled, well = await hall.fill()
        try:
            async with asyncio.timeout(5):
                await say_goodbye(list(hall.sockets), 0.2)
        except TimeoutError:
            because = "the stalled one is waited for, budget or not"
            expect(False, given="a budget of 0.2 s", got="no end after 5 s", because=because)
        except Exception as error:
            because = "who has left has left: that is no reason to raise"
            raise Refused(given=given, got=repr(error), because=because) from error
        finally:
            stalled.close()


async def _end_of(client: WebSocketClient) -> tuple[str, int]:
    """Return the type of the notice, if there is one, and the close code."""
    notice = ""
    with suppress(ConnectionError):
        notice = str((await client.receive_json()).get("type"))
    return notice, (await client.closed()).code
