"""A program for another process: every kind of connection, drained on the signal.

`python serving.py PORT [SETTLE_S]` runs it in a `DrainingServer`, and
`uvicorn --factory serving:create_app` in a stock one. What its connections go through at the
end is printed, for a test to read.
"""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from sse_starlette.sse import EventSourceResponse

from labkit.architecture import Manager
from labkit.architecture.messages import binary
from labkit.connections import (
    Drain,
    Drainable,
    DrainingServer,
    DrainSettings,
    drain_on_signal,
)
from labkit.sse import MemoryBroker, StreamOptions, event_stream
from labkit.websocket import Limits, Session

LIMITS = Limits(close_timeout_s=1.0, write_timeout_s=60, outbox_bytes=1 << 30)


def say(*words):
    print(*words, flush=True)  # noqa: T201 - read by the test


async def forever(name):
    """Be busy until somebody ends it, and say that the `finally` ran."""
    say("busy", name)
    try:
        await asyncio.Event().wait()
    finally:
        say("cleaned", name)


class House:
    """The application and its drain."""

    def __init__(self, *, by_signal, settle_s=0.0):
        self.manager, self.broker = Manager(), MemoryBroker()
        settings = DrainSettings(settle_s=settle_s, polite_s=2, cancel_s=1, flush_s=1)
        self.drain = Drain(managers=[self.manager], brokers=[self.broker], settings=settings)
        self.app = FastAPI(lifespan=self.by_signal if by_signal else self.plain)
        self.app.add_middleware(Drainable, drain=self.drain)
        self.app.websocket("/ws")(self.ws)
        self.app.websocket("/push")(self.push)
        self.app.get("/events")(self.events)
        self.app.get("/plain")(self.stream)
        self.app.get("/pid")(os.getpid)
        self.app.get("/ready")(self.ready)
        self.app.get("/foreign")(self.foreign)

    @asynccontextmanager
    async def plain(self, app):
        yield
        self.report()

    @asynccontextmanager
    async def by_signal(self, app):
        async with drain_on_signal(self.drain):
            yield
        self.report()

    def report(self):
        left = len(self.manager) + len(self.broker.subscriptions) + self.drain.exchanges
        say("lifespan:", left, "left;", self.drain.result)

    async def ws(self, websocket: WebSocket):
        await Session(
            websocket=websocket, manager=self.manager, on_text=self.on_text, limits=LIMITS
        ).run()

    async def on_text(self, connection, text):
        if text == "work":
            await forever("handler")
        if text == "flood":
            while connection.outbox.waiting < 20 and connection.ending is None:
                connection.send(binary(b"x" * 65_536))
                await asyncio.sleep(0)
            say("stalled")

    async def push(self, websocket: WebSocket):
        await websocket.accept()
        await forever("push")

    async def events(self, request: Request):
        options = StreamOptions(grace_s=0.5)
        return event_stream(
            request, self.broker, ["news"], may_subscribe=lambda _: True, options=options
        )

    async def ready(self):
        return self.drain.ready

    async def foreign(self):
        async def body():
            yield {"data": "1"}
            await asyncio.Event().wait()

        return EventSourceResponse(body())

    async def stream(self):
        async def body():
            yield b"data: 1\n\n"
            await forever("plain")

        return StreamingResponse(body(), media_type="text/event-stream")


def create_app():
    """Make the application for a stock uvicorn."""
    return House(by_signal=True).app


def main(port, settle_s=0.0):
    """Serve it with `DrainingServer`."""
    house = House(by_signal=False, settle_s=settle_s)
    config = uvicorn.Config(house.app, port=port, log_level="warning")
    DrainingServer(config, house.drain).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
