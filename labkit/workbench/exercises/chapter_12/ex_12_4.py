"""Exercise 12.4: a probe of your own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import Disconnected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal

Probe = Callable[[str, int], Awaitable[bool]]

LIMIT_BYTES = 1000

exercise = Exercise[Probe](
    "12.4",
    title="a probe of your own",
    hints=(
        "A probe has two halves: what is too much is refused, *and* what is allowed still works.",
        "`(await client.closed()).code` is 1009 when the server says *too big*.",
        "Exactly `limit` is allowed. One byte more is not.",
    ),
)


@exercise.solution
async def has_limit(url: str, limit: int) -> bool:
    """Whether an echo server takes messages of `limit` bytes, and closes with 1009 beyond."""
    # hole: one message that must come back, one that must not; answer True or False
    async with await WebSocketClient.connect(url) as client:
        try:
            await client.send("x" * limit)
            await client.receive()
        except Disconnected:
            return False
        try:
            await client.send("x" * (limit + 1))
            await client.receive()
        except Disconnected:
            return (await client.closed()).code == 1009
    return False
    # end


@exercise.wrong("refuses everything")
async def any_refusal(url: str, limit: int) -> bool:
    """See that it refuses, and ask no more."""
    async with await WebSocketClient.connect(url) as client:
        try:
            await client.send("x" * (limit + 1))
            await client.receive()
        except Disconnected:
            return (await client.closed()).code == 1009
    return False


@exercise.wrong("crashes")
async def any_end(url: str, limit: int) -> bool:
    """Take every end for a limit."""
    async with await WebSocketClient.connect(url) as client:
        try:
            await client.send("x" * limit)
            await client.receive()
        except Disconnected:
            return False
        try:
            await client.send("x" * (limit + 1))
            await client.receive()
        except Disconnected:
            return True
    return False


@exercise.wrong("lets twice as much in")
async def far_beyond(url: str, limit: int) -> bool:
    """Send so much that every server has to refuse it."""
    async with await WebSocketClient.connect(url) as client:
        try:
            await client.send("x" * limit)
            await client.receive()
        except Disconnected:
            return False
        try:
            await client.send("x" * limit * 10)
            await client.receive()
        except Disconnected:
            return (await client.closed()).code == 1009
    return False


def server(*, max_bytes: int, crashes: bool = False) -> LiveServer:
    """Echo what comes; with `crashes`, fail on what is larger than the limit."""
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                if crashes and len(text) > LIMIT_BYTES:
                    await websocket.close(1011, "server error")
                    return
                await websocket.send_text(text)
        except WebSocketDisconnect:
            pass

    return LiveServer(app, ws_max_size=max_bytes)


SERVERS = (
    ("a server with that limit", {"max_bytes": LIMIT_BYTES}, True, "it keeps the promise"),
    ("a server without one", {"max_bytes": 1 << 20}, False, "it takes what is too big"),
    ("one that refuses everything", {"max_bytes": 1}, False, "it refuses everything: no service"),
    (
        "one that lets twice as much in",
        {"max_bytes": 2 * LIMIT_BYTES},
        False,
        "it lets twice as much in as it says",
    ),
    (
        "one that crashes at it",
        {"max_bytes": 1 << 20, "crashes": True},
        False,
        "it crashes: 1011 is no limit, it is a bug",
    ),
)


@exercise.check
async def check(has_limit: Probe) -> None:
    """Five servers; the probe has to tell the one that is right."""
    for given, options, wanted, because in SERVERS:
        async with server(**options) as live:  # type: ignore[arg-type] # a table of options
            got = await has_limit(f"{live.ws_url}/ws", LIMIT_BYTES)
        expect_equal(got, wanted, given=given, because=because)
