"""Exercise 1.1: a full backlog makes room for the newest message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene
from labkit.workbench.scenes import received

Put = Callable[[deque[str], str, int], int]

exercise = Exercise[Put](
    "1.1",
    title="keep the newest",
    hints=(
        "How many messages may wait before you append one more?",
        "`backlog.popleft()` takes the oldest message out.",
        "Look at `len(backlog)` first: at `limit`, one has to go before the new one comes.",
    ),
)


@exercise.solution
def put(backlog: deque[str], message: str, limit: int) -> int:
    """Append `message`; return how many messages were dropped (0 or 1)."""
    # hole: make room if you must, append, and say how many you dropped
    dropped = 0
    if len(backlog) >= limit:
        backlog.popleft()
        dropped = 1
    backlog.append(message)
    return dropped
    # end


@exercise.wrong("the newest price did not arrive")
def drops_the_newest(backlog: deque[str], message: str, limit: int) -> int:
    """Refuse what comes last, as a full `asyncio.Queue` does."""
    if len(backlog) >= limit:
        return 1
    backlog.append(message)
    return 0


@exercise.wrong("the backlog has no bound")
def never_drops(backlog: deque[str], message: str, limit: int) -> int:
    """Append without a look at the limit."""
    backlog.append(message)
    return 0


@exercise.wrong("one more than the limit waits")
def off_by_one(backlog: deque[str], message: str, limit: int) -> int:
    """Compare before appending as if it were after."""
    dropped = 0
    if len(backlog) > limit:
        backlog.popleft()
        dropped = 1
    backlog.append(message)
    return dropped


@exercise.wrong("say how many you dropped")
def drops_in_silence(backlog: deque[str], message: str, limit: int) -> int:
    """Drop the right message and say nothing of it."""
    if len(backlog) >= limit:
        backlog.popleft()
    backlog.append(message)
    return 0


@exercise.wrong("the order has changed")
def appends_to_the_left(backlog: deque[str], message: str, limit: int) -> int:
    """Put the new message at the old end."""
    dropped = 0
    if len(backlog) >= limit:
        backlog.pop()
        dropped = 1
    backlog.appendleft(message)
    return dropped


@exercise.check
async def check(put: Put) -> None:
    """A reader that comes late gets what a ticker of ten prices and room for three has kept."""
    app = FastAPI()

    @app.websocket("/ticker")
    async def ticker(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        backlog: deque[str] = deque()
        try:
            dropped = [put(backlog, str(price), 3) for price in range(10)]
            for message in backlog:
                await websocket.send_text(message)
            await websocket.close(1000, f"dropped {sum(dropped)}")
        except Exception as error:
            await websocket.close(1011, repr(error)[:100])

    given = "ten prices, 0 to 9, and room for three"
    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ticker")
        with scene(given, because="the ticker did not answer"):
            await client.send("late")
            (heard,) = await received(client, expected=11)
    assert heard.closed is not None
    got = heard.messages
    if heard.closed.code != 1000:
        expect_equal(heard.closed.reason, "an int", given=given, because="`put` must not raise")
    expect(9 in got, given=given, got=got, because="the newest price did not arrive")
    expect(len(got) < 10, given=given, got=got, because="the backlog has no bound")
    expect(len(got) <= 3, given=given, got=got, because="one more than the limit waits")
    expect_equal(got, [7, 8, 9], given=given, because="the order has changed")
    reason = heard.closed.reason
    expect_equal(reason, "dropped 7", given=given, because="say how many you dropped")
