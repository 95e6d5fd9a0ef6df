"""Two hundred clients, one of them stalled, one handler busy, and a SIGTERM."""

# ruff: noqa: PLC0415, T201 - a program for another process imports what it needs, and prints

import asyncio
import signal
import time
from contextlib import AsyncExitStack

import pytest

from labkit.connections import DrainSettings
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess

CLIENTS = 100  # of each kind
START_AND_EXIT_S = 5.0  # of the process itself, on a busy machine

pytestmark = pytest.mark.timeout(180)
PATIENCE_S = 30.0  # of each of two hundred clients of one loop, on a busy machine


def draining(port):
    """Serve with labkit's own drain."""
    import asyncio
    from contextlib import asynccontextmanager

    import uvicorn
    from fastapi import FastAPI, Request, WebSocket

    from labkit.architecture import Manager
    from labkit.architecture.messages import binary
    from labkit.connections import Drain, Drainable, DrainingServer
    from labkit.sse import MemoryBroker, event_stream
    from labkit.websocket import Limits, Session

    manager, broker = Manager(), MemoryBroker()
    drain = Drain(managers=[manager], brokers=[broker])

    @asynccontextmanager
    async def lifespan(app):
        yield
        left = len(manager) + len(broker.subscriptions) + drain.exchanges
        print(f"{left} left, {drain.result.told} told")

    async def on_text(connection, text):
        if text == "work":
            try:
                await asyncio.sleep(3600)
            finally:
                print("the busy handler has cleaned up")
        if text == "flood":
            while connection.outbox.waiting < 20:
                connection.send(binary(b"x" * 65_536))
                await asyncio.sleep(0)
            print("stalled")

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(Drainable, drain=drain)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        limits = Limits(write_timeout_s=3600, outbox_bytes=1 << 30)
        await Session(websocket=websocket, manager=manager, on_text=on_text, limits=limits).run()

    @app.get("/events")
    async def events(request: Request):
        return event_stream(request, broker, ["news"], may_subscribe=lambda topic: True)

    DrainingServer(uvicorn.Config(app, port=port, log_level="warning"), drain).run()


def naive(port):
    """Serve as the guide does: notices are sent in the lifespan's shutdown."""
    import asyncio
    from contextlib import asynccontextmanager

    import uvicorn
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect
    from fastapi.responses import StreamingResponse

    active = {}

    @asynccontextmanager
    async def lifespan(app):
        yield
        print(f"shutdown finds {len(active)}")
        for websocket in list(active):
            await websocket.send_json({"type": "shutdown"})
            await websocket.close()

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        active[websocket] = True
        try:
            while True:
                if await websocket.receive_text() == "work":
                    await asyncio.sleep(3600)
        except WebSocketDisconnect:
            del active[websocket]

    @app.get("/events")
    async def events():
        async def body():
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(3600)

        return StreamingResponse(body(), media_type="text/event-stream")

    uvicorn.run(app, port=port, log_level="warning")


class Crowd:
    """A hundred clients of each kind, and a busy one."""

    async def arrive(self, process, stack):
        """Connect them all."""
        self.sockets, self.streams = [], []
        for _ in range(CLIENTS):
            self.sockets.append(
                await WebSocketClient.connect(f"{process.ws_url}/ws", timeout_s=PATIENCE_S)
            )
            stream = await SSEClient.connect(f"{process.url}/events", timeout_s=PATIENCE_S)
            self.streams.append(await stack.enter_async_context(stream))
        self.busy = await WebSocketClient.connect(f"{process.ws_url}/ws", timeout_s=PATIENCE_S)
        await self.busy.send("work")


async def test_everyone_is_told_and_the_process_ends_within_its_grace():
    """Notice and 1012 for each WebSocket, goodbye, own retry and clean end for each stream."""
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(ServerProcess(draining))
        crowd = Crowd()
        await crowd.arrive(process, stack)
        stalled = await StalledReader.connect(f"{process.ws_url}/ws", first_messages=["flood"])
        stack.callback(stalled.close)
        async with asyncio.timeout(30):
            while "stalled" not in process.lines:
                await asyncio.sleep(0.02)

        signalled = time.monotonic()
        process.signal(signal.SIGTERM)
        for client in (*crowd.sockets, crowd.busy):
            assert (await client.receive_json())["type"] == "shutdown"
            assert (await client.closed()).code == 1012
        goodbyes = [await stream.next() for stream in crowd.streams]
        assert {goodbye.event for goodbye in goodbyes} == {"goodbye"}
        assert len({goodbye.retry_ms for goodbye in goodbyes}) > CLIENTS // 2
        assert all([await stream.closed() for stream in crowd.streams])

        grace_s = DrainSettings().total_s + START_AND_EXIT_S
        assert await process.ended(timeout_s=grace_s) == -signal.SIGTERM
        assert time.monotonic() - signalled < grace_s
        assert "the busy handler has cleaned up" in process.lines
        assert process.lines[-1] == f"0 left, {2 * CLIENTS + 2} told"


async def test_the_naive_one_hangs():
    """Nobody gets a notice, the streams stay open, and the process does not end."""
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(ServerProcess(naive))
        crowd = Crowd()
        await crowd.arrive(process, stack)
        process.signal(signal.SIGTERM)
        for client in crowd.sockets:
            assert (await client.closed()).code == 1012
        with pytest.raises(Silence):
            await process.ended(timeout_s=3)
        assert not any("shutdown finds" in line for line in process.lines)
        process.kill()
        assert not any([await stream.closed() for stream in crowd.streams])
