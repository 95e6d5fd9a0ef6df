"""Streams are ended from outside, and only streams."""

from __future__ import annotations

import asyncio

from labkit.testing.streams import Streams

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"", "more_body": False}


class Exchange:
    """One request against an application in a task, with what it sent."""

    def __init__(self, streams):
        self.sent = []
        self.something = asyncio.Event()
        self.task = asyncio.create_task(streams({"type": "http"}, self._receive, self._send))

    async def _receive(self):
        await asyncio.Event().wait()

    async def _send(self, message):
        self.sent.append(message)
        self.something.set()

    async def finish(self):
        async with asyncio.timeout(5):
            await self.task
        return self.sent


async def until_disconnected(scope, receive, send):
    await send(START)
    await send(PART)
    assert await receive() == {"type": "http.disconnect"}


async def test_a_stream_is_told_and_its_body_completed():
    """An application that waits for its client receives http.disconnect, and the body ends."""
    streams = Streams(until_disconnected)
    exchange = Exchange(streams)
    await exchange.something.wait()
    streams.end()
    assert await exchange.finish() == [START, PART, END]


async def test_a_stream_that_opens_later_is_told_too():
    """After `end`, a new stream is told as soon as it has started."""
    streams = Streams(until_disconnected)
    streams.end()
    assert await Exchange(streams).finish() == [START, PART, END]


async def test_a_wait_that_began_before_the_response_is_woken():
    """An application that waits first and starts its response later is told as well."""

    async def app(scope, receive, send):
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(receive())
            await asyncio.sleep(0)
            streams.end()
            await send(START)
            assert await leaving == {"type": "http.disconnect"}

    streams = Streams(app)
    assert await Exchange(streams).finish() == [START, END]


async def test_a_body_of_known_length_may_finish():
    """A response with a content-length is no stream and goes on undisturbed."""
    known = START | {"headers": [(b"Content-Length", b"4")]}
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await send(known)
        await gate.wait()
        await send(PART | {"more_body": False})

    streams = Streams(app)
    exchange = Exchange(streams)
    await exchange.something.wait()
    streams.end()
    gate.set()
    assert await exchange.finish() == [known, PART | {"more_body": False}]


async def test_a_client_that_leaves_is_passed_on():
    """Without an end from outside, receive and send are the server's own."""

    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        raise AssertionError

    await Streams(app)({"type": "http"}, receive, send)
