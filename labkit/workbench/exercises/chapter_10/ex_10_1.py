"""Exercise 10.1: what goes up comes down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from prometheus_client import CollectorRegistry, Gauge, Histogram

from labkit.testing.clients import WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Converse = Callable[[], Awaitable[None]]
Clock = Callable[[], float]
Counted = Callable[[Converse, Gauge, Histogram, Clock], Awaitable[None]]

SECONDS = 90

exercise = Exercise[Counted](
    "10.1",
    title="what goes up comes down",
    hints=(
        "One place goes up, and the same place comes down: `try` … `finally`.",
        "A cancellation is no `Exception`. `finally` runs for it all the same.",
        "How long it was is known at the end: `clock()` before, `clock()` after.",
    ),
)


@exercise.solution
async def counted(
    converse: Callable[..., Any], active: Gauge, duration: Histogram, clock: Callable[[], float]
) -> None:
    """Run `await converse()` as one connection: in the gauge while it lasts, timed at its end."""
    # hole: up, the conversation, down whatever ends it, and observe how many seconds it was
    active.inc()
    began = clock()
    try:
        await converse()
    finally:
        active.dec()
        duration.observe(clock() - began)
    # end


@exercise.wrong("a duration is known at the end")
async def observes_at_the_start(
    converse: Converse, active: Gauge, duration: Histogram, clock: Clock
) -> None:
    """Start the timer as the guide does."""
    active.inc()
    duration.observe(0)
    try:
        await converse()
    finally:
        active.dec()


@exercise.wrong("somebody was counted back twice")
async def comes_down_twice(
    converse: Converse, active: Gauge, duration: Histogram, clock: Clock
) -> None:
    """Clean up where it failed, and then in general."""
    active.inc()
    began = clock()
    try:
        await converse()
    except Exception:
        active.dec()
        raise
    finally:
        active.dec()
        duration.observe(clock() - began)


@exercise.wrong("who was cancelled, is still counted")
async def forgets_the_cancelled(
    converse: Converse, active: Gauge, duration: Histogram, clock: Clock
) -> None:
    """Take care of every exception, and of no cancellation."""
    active.inc()
    began = clock()
    try:
        await converse()
    except Exception:
        active.dec()
        duration.observe(clock() - began)
        raise
    active.dec()
    duration.observe(clock() - began)


@exercise.wrong("who left by a bug is still counted")
async def comes_down_when_all_is_well(
    converse: Converse, active: Gauge, duration: Histogram, clock: Clock
) -> None:
    """Come down after the conversation, if it comes to that."""
    active.inc()
    began = clock()
    with suppress(WebSocketDisconnect):
        await converse()
    active.dec()
    duration.observe(clock() - began)


@exercise.wrong("the bug was swallowed")
async def swallows(converse: Converse, active: Gauge, duration: Histogram, clock: Clock) -> None:
    """Count, and hide what happened."""
    active.inc()
    began = clock()
    try:
        with suppress(Exception):
            await converse()
    finally:
        active.dec()
        duration.observe(clock() - began)


class Storm:
    """The learner's counting around conversations on a real server."""

    def __init__(self, counted: Counted) -> None:
        registry, self.clock = CollectorRegistry(), ManualClock()
        self.active = Gauge("active", "Open now", registry=registry)
        self.duration = Histogram("duration", "Seconds", registry=registry)
        self.value = registry.get_sample_value
        self.ended: list[str] = []
        app = FastAPI()
        app.websocket("/ws")(self.endpoint(counted))
        self.server = LiveServer(app, timeout_graceful_shutdown=0.1)

    def endpoint(self, counted: Counted) -> Callable[[WebSocket], Awaitable[None]]:
        """Make the endpoint that notes how it ended."""

        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()

            async def converse() -> None:
                while True:
                    text = await websocket.receive_text()
                    if text == "bug":
                        raise KeyError("a bug")
                    await websocket.send_text(text)
                    if text == "work":
                        await asyncio.Event().wait()

            try:
                await counted(converse, self.active, self.duration, self.clock)
            except BaseException as error:
                self.ended.append(type(error).__name__)
                if not isinstance(error, WebSocketDisconnect | KeyError):
                    raise
            else:
                self.ended.append("nothing")

        return endpoint

    async def join(self, first: str) -> WebSocketClient:
        """Connect, say something, and hear it."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws")
        await client.send(first)
        await client.receive()
        return client

    @property
    def now(self) -> float:
        """The gauge."""
        return self.value("active") or 0.0


@exercise.check
async def check(counted: Counted) -> None:
    """Six at once: two polite, two cut off, one bug, and one cancelled when the server ends."""
    storm = Storm(counted)
    given = "6 connections"
    async with storm.server:
        with scene(given, because="somebody was not answered"):
            guests = [await storm.join("hello") for _ in range(5)] + [await storm.join("work")]
        expect_equal(storm.now, 6, given=given, because="each is in the gauge while it lasts")
        storm.clock.advance(SECONDS)
        for client in guests[:2]:
            await client.close()
        reset(*guests[2:4])
        with scene("4 that have left", because="their conversations did not end"):
            await until(lambda: len(storm.ended) == 4)
        because = "somebody was counted back twice" if storm.now < 2 else "count them back"
        expect_equal(storm.now, 2, given="6 connections, 4 have left", because=because)
        await guests[4].send("bug")
        with scene("a bug", because="its conversation did not end"):
            await until(lambda: len(storm.ended) == 5)
        because = "who left by a bug is still counted" if storm.now > 1 else "counted back twice"
        expect_equal(storm.now, 1, given="one more, by a bug", because=because)
        because = "the bug was swallowed: whoever logs it needs to see it"
        expect_equal(storm.ended[-1], "KeyError", given="a bug", because=because)
    because = "who was cancelled, is still counted" if storm.now > 0 else "counted back twice"
    expect_equal(storm.now, 0, given="the last one, cancelled with its server", because=because)
    because = "a duration is known at the end, in seconds"
    lasted = storm.value("duration_sum")
    expect_equal(lasted, 6.0 * SECONDS, given=f"6 connections of {SECONDS} s", because=because)
