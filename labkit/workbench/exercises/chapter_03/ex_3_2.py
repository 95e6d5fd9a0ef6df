"""Exercise 3.2: whatever ends it, clean up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi import FastAPI
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labkit.testing.clients import SSEClient
from labkit.testing.faults import StalledStream
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

Ticks = Callable[[list[str], int], AsyncIterator[dict[str, str]]]

exercise = Exercise[Ticks](
    "3.2",
    title="whatever ends it, clean up",
    hints=(
        "A generator can be ended in two ways: by CancelledError and by GeneratorExit.",
        "There is one word in Python for *whatever happens*: `finally`.",
        "Do not catch what ends you, and do not `yield` or `await` in the cleanup.",
    ),
)


@exercise.solution
async def ticks(open_streams: list[str], size: int) -> AsyncIterator[dict[str, str]]:
    """Yield an event every few milliseconds; be in `open_streams` for just as long."""
    yield {"event": "hello", "data": ""}
    # hole: add "stream" to open_streams; yield {"data": "x" * size} and sleep 0.005, for ever
    open_streams.append("stream")
    try:
        while True:
            yield {"data": "x" * size}
            await asyncio.sleep(0.005)
    finally:
        open_streams.remove("stream")
    # end


@exercise.wrong("a client that stops reading")
async def only_cancelled(open_streams: list[str], size: int) -> AsyncIterator[dict[str, str]]:
    """Do as the guide does."""
    yield {"event": "hello", "data": ""}
    open_streams.append("stream")
    try:
        while True:
            yield {"data": "x" * size}
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        open_streams.remove("stream")


@exercise.wrong("the other stream is still open")
async def clears_everything(open_streams: list[str], size: int) -> AsyncIterator[dict[str, str]]:
    """Clean up for everyone."""
    yield {"event": "hello", "data": ""}
    open_streams.append("stream")
    try:
        while True:
            yield {"data": "x" * size}
            await asyncio.sleep(0.005)
    finally:
        open_streams.clear()


@exercise.wrong("a client that leaves")
async def only_generator_exit(open_streams: list[str], size: int) -> AsyncIterator[dict[str, str]]:
    """Know the other half."""
    yield {"event": "hello", "data": ""}
    open_streams.append("stream")
    try:
        while True:
            yield {"data": "x" * size}
            await asyncio.sleep(0.005)
    except GeneratorExit:
        open_streams.remove("stream")
        raise


@exercise.wrong("the stream has ended by itself")
async def stops_at_once(open_streams: list[str], size: int) -> AsyncIterator[dict[str, str]]:
    """Be tidy, and send one event only."""
    yield {"event": "hello", "data": ""}
    open_streams.append("stream")
    yield {"data": "x" * size}
    open_streams.remove("stream")


class _Stream(EventSourceResponse):
    """A response whose send timeout is no traceback."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            return


@exercise.check
async def check(ticks: Ticks) -> None:
    """Three ways to end a stream: the client leaves, it stops reading, the server stops."""
    open_streams: list[str] = []
    app = FastAPI()

    @app.get("/ticks/{size}")
    async def endpoint(size: int) -> Response:
        return _Stream(ticks(open_streams, size), send_timeout=0.2, ping=0)

    async with LiveServer(app) as server:
        given = "a client that reads three events"
        async with await SSEClient.connect(f"{server.url}/ticks/1") as client:
            with scene(given, because="the stream has ended by itself, or never began"):
                await client.take(3)
            expect(bool(open_streams), given=given, got="[]", because="the stream is not listed")
        await _left(open_streams, 0, "a client that leaves")
        url = f"{server.url}/ticks/1"
        async with await SSEClient.connect(url), await SSEClient.connect(url) as other:
            await until(lambda: len(open_streams) == 2)
            await other.close()
            await _left(open_streams, 1, "one of two clients leaves")
        await _left(open_streams, 0, "a client that leaves")
        eve = await StalledStream.connect(f"{server.url}/ticks/400000", name="eve")
        await until(lambda: open_streams)
        try:
            await _left(open_streams, 0, "a client that stops reading")
        finally:
            eve.close()
        async with await SSEClient.connect(url) as client:
            await client.next()
            await server.stop()
            await _left(open_streams, 0, "a server that stops")


async def _left(open_streams: list[str], wanted: int, given: str) -> None:
    """Wait until so many streams are listed."""
    with suppress(TimeoutError):
        await until(lambda: len(open_streams) <= wanted, timeout_s=1.5)
    because = "it is gone, and still listed as open"
    if len(open_streams) < wanted:
        because = "the other stream is still open, and no longer listed"
    expect_equal(len(open_streams), wanted, given=given, because=because)
