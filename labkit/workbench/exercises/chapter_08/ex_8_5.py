"""Exercise 8.5: the largest message there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import Disconnected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Options = Callable[[], dict[str, Any]]
LARGEST = 64 * 1024

exercise = Exercise[Options](
    "8.5",
    title="the largest message there is",
    hints=(
        "It is an option of `uvicorn.Config`, and of its command line.",
        "It counts bytes of the message, unpacked; the default is 16 MiB.",
        "64 KiB are 64 * 1024 bytes.",
    ),
)


@exercise.solution
def server_options() -> dict[str, Any]:
    """Return the options of uvicorn that make 64 KiB the largest message, unpacked."""
    # hole: one option, in bytes
    return {"ws_max_size": 64 * 1024}
    # end


@exercise.wrong("a message of 64 KiB")
def in_thousands() -> dict[str, Any]:
    """Count kilobytes for kibibytes."""
    return {"ws_max_size": 64_000}


@exercise.wrong("one byte more")
def as_the_guide() -> dict[str, Any]:
    """Take the guide's number."""
    return {"ws_max_size": 1024 * 1024}


@exercise.wrong("how many messages wait")
def another_queue() -> dict[str, Any]:
    """Limit how many messages may wait: uvicorn's default protocol does not read it."""
    return {"ws_max_queue": 1}


@exercise.wrong("the same bytes come in as they are")
def no_compression() -> dict[str, Any]:
    """Forbid the bomb, and let the same bytes in uncompressed."""
    return {"ws_per_message_deflate": False}


async def answer(server: LiveServer, size: int) -> str | int:
    """Send a message of that size, compressed if the server agrees; return the answer or code."""
    client = await WebSocketClient.connect(server.ws_url + "/ws", compression="deflate")
    async with client:
        try:
            await client.send("x" * size)
            return str(await client.receive())
        except Disconnected:
            return (await client.closed()).code


@exercise.check
async def check(server_options: Options) -> None:
    """64 KiB, one byte more, and fifteen megabytes in a frame of fifteen kilobytes."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{len(text)} bytes")

    options = {"ws_max_size": 16 << 20, **server_options()}
    async with LiveServer(app, **options) as server:
        with scene("a message", because="the server neither answered nor closed"):
            largest = await answer(server, LARGEST)
            because = "a message of 64 KiB is legal: 64 * 1024 bytes"
            expect_equal(largest, f"{LARGEST} bytes", given="64 KiB", because=because)
            more = await answer(server, LARGEST + 1)
            because = "one byte more is too big, and the server says so with 1009"
            if "ws_max_queue" in options:
                because = "that is how many messages wait, and the default protocol ignores it"
            elif "ws_per_message_deflate" in options:
                because = "the same bytes come in as they are: the size needs a bound"
            expect_equal(more, 1009, given="64 KiB and one byte", because=because)
            bomb = await answer(server, 15 << 20)
            expect(bomb == 1009, given="15 MiB, compressed", got=bomb,
                   because="what counts is the size unpacked")  # fmt: skip
