"""Everyone is told at once; what was not told is ended; it never takes longer than it may."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse as NativeEventSource

from labkit.architecture import Manager
from labkit.architecture.messages import binary
from labkit.connections.drain import Drain, Drainable, Drained, DrainSettings
from labkit.sse import MemoryBroker, StreamOptions, event_stream
from labkit.testing.clients import Closed, Rejected, SSEClient, WebSocketClient
from labkit.testing.faults import StalledReader, StalledStream
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session

PATIENCE_S = 20  # for the machine, not for the drain


class House:
    """Every kind of connection, on a server that will be drained."""

    def __init__(self, **settings):
        self.manager, self.broker = Manager(), MemoryBroker()
        settings = {"polite_s": 1.0, "cancel_s": 1.0, **settings}
        self.drain = Drain(
            managers=[self.manager],
            brokers=[self.broker],
            settings=DrainSettings(**settings),
        )
        self.cleaned, self.gate, self.stubborn = [], asyncio.Event(), asyncio.Event()
        self.streams, self.busy = [], asyncio.Event()
        self.app = app = FastAPI()
        app.add_middleware(Drainable, drain=self.drain)
        self.server = LiveServer(app)

        @app.websocket("/ws")
        async def ws(websocket: WebSocket):
            async def work(connection, text):
                self.busy.set()
                await self.forever("busy")

            limits = Limits(close_timeout_s=0.3, outbox_bytes=1 << 30, write_timeout_s=60)
            await Session(
                websocket=websocket, manager=self.manager, on_text=work, limits=limits
            ).run()

        @app.websocket("/push")
        async def push(websocket: WebSocket):
            await websocket.accept()
            await self.forever("push")

        @app.get("/events")
        async def events(request: Request):
            options = StreamOptions(grace_s=0.3)
            return event_stream(
                request, self.broker, ["news"], may_subscribe=lambda _: True, options=options
            )

        @app.get("/plain")
        async def plain():
            async def body():
                yield b"data: 1\n\n"
                await self.forever("plain")

            return StreamingResponse(body(), media_type="text/event-stream")

        @app.get("/native", response_class=NativeEventSource)
        async def native() -> AsyncIterator[dict[str, int]]:
            yield {"n": 1}
            await self.forever("native")

        @app.get("/flood")
        async def flood():
            async def body():
                try:
                    while True:
                        yield b"x" * 65_536
                finally:
                    self.cleaned.append("flood")

            return StreamingResponse(body(), media_type="text/event-stream")

        @app.get("/report")
        async def report():
            await self.gate.wait()
            return "the report"

        @app.get("/stubborn")
        async def stubborn():
            while not self.stubborn.is_set():
                try:
                    await self.stubborn.wait()
                except asyncio.CancelledError:
                    self.cleaned.append("ignored")

        @app.get("/ready")
        async def ready():
            return JSONResponse({"ready": self.drain.ready}, 200 if self.drain.ready else 503)

    async def forever(self, name):
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaned.append(name)

    async def ws(self, path="/ws", **options):
        return await WebSocketClient.connect(self.server.ws_url + path, **options)

    async def sse(self, path="/events"):
        self.streams.append(await SSEClient.connect(self.server.url + path))
        return self.streams[-1]

    async def __aenter__(self):
        await self.server.start()
        return self

    async def __aexit__(self, *exc_info):
        for stream in self.streams:
            await stream.close()
        await self.server.stop()

    async def serving(self, count):
        """Wait until so many exchanges are open."""
        async with asyncio.timeout(5):
            while self.drain.exchanges != count:
                await asyncio.sleep(0.005)

    async def stall(self):
        """Send to everybody until one of them takes no more; the others read along."""
        photo = binary(b"x" * 65_536)
        async with asyncio.timeout(PATIENCE_S):
            while not any(each.outbox.waiting > 20 for each in self.manager):
                for each in self.manager:
                    each.send(photo)
                await asyncio.sleep(0.001)

    async def run(self):
        """Drain, within a deadline."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.drain.run()


async def test_a_websocket_gets_a_notice_then_1012():
    """The notice names a time to come back, of its own for each client."""
    house = House()
    async with house:
        clients = [await house.ws() for _ in range(10)]
        assert await house.run() == Drained(told=10, cancelled=0, left=0)
        notices = [await client.receive_json() for client in clients]
        assert {notice["type"] for notice in notices} == {"shutdown"}
        retries = {notice["retry_ms"] for notice in notices}
        assert len(retries) > 1
        assert all(0 <= each <= 5000 for each in retries)
        assert {await client.closed() for client in clients} == {Closed(1012, "restart")}
        assert len(house.manager) == 0


async def test_what_was_published_before_the_drain_still_arrives():
    """In order: the messages, the notice, the close frame."""
    house = House()
    async with house:
        client = await house.ws()
        await house.serving(1)
        (connection,) = house.manager
        for number in range(100):
            connection.send(binary(bytes([number])))
        await house.run()
        received = [await client.receive() for _ in range(101)]
        assert received[:100] == [bytes([number]) for number in range(100)]
        assert json.loads(received[100])["type"] == "shutdown"
        assert (await client.closed()).code == 1012


async def test_an_event_stream_gets_its_goodbye_and_a_retry_of_its_own():
    """And its body ends cleanly, so the browser comes back by itself."""
    house = House()
    async with house:
        clients = [await house.sse() for _ in range(10)]
        await house.serving(10)
        assert await house.run() == Drained(told=10, cancelled=0, left=0)
        goodbyes = [await client.next() for client in clients]
        assert {(g.event, json.loads(g.data)["reason"]) for g in goodbyes} == {
            ("goodbye", "shutdown")
        }
        assert len({goodbye.retry_ms for goodbye in goodbyes}) > 1
        assert all([await client.closed() for client in clients])
        assert len(house.broker.subscriptions) == 0


async def test_a_busy_handler_holds_nobody_up():
    """It is cancelled with its conversation; its `finally` runs, its client reads 1012."""
    house = House()
    async with house:
        client = await house.ws()
        await client.send("work")
        async with asyncio.timeout(5):
            await house.busy.wait()
        await house.run()
        assert (await client.receive_json())["type"] == "shutdown"
        assert (await client.closed()).code == 1012
        assert house.cleaned == ["busy"]


async def test_a_stalled_client_holds_nobody_up():
    """The others are told before it has used up its own time."""
    house = House()
    async with house:
        first = await house.ws()
        stalled = await StalledReader.connect(f"{house.server.ws_url}/ws")
        last = await house.ws()
        await house.serving(3)
        await house.stall()
        draining = asyncio.ensure_future(house.run())
        for client in (first, last):
            assert (await client.closed()).code == 1012
        result = await draining
        assert (result.told, result.left) == (3, 0)
        stalled.close()


async def test_what_knows_nothing_of_draining_ends_as_well():
    """A WebSocket that only pushes, a plain stream, FastAPI's own: cleaned up, a clean end."""
    house = House(polite_s=0.1)
    async with house:
        push = await house.ws("/push")
        streams = [await house.sse("/plain"), await house.sse("/native")]
        for stream in streams:
            await stream.next()
        await house.serving(3)
        assert await house.run() == Drained(told=0, cancelled=3, left=0)
        assert await push.closed() == Closed(1012, "restart")
        assert all([await stream.closed() for stream in streams])
        assert sorted(house.cleaned) == ["native", "plain", "push"]


async def test_a_stalled_plain_stream_runs_its_finally_too():
    """It was waiting for its client when it was cancelled."""
    house = House(polite_s=0.1)
    async with house:
        stalled = await StalledStream.connect(f"{house.server.url}/flood")
        await house.serving(1)
        assert await house.run() == Drained(told=0, cancelled=1, left=0)
        async with asyncio.timeout(5):
            while not house.cleaned:
                await asyncio.sleep(0.005)
        stalled.close()


async def test_a_request_that_is_being_answered_is_answered():
    """Politeness is for them too: the drain waits."""
    house = House(polite_s=10)
    async with house, httpx.AsyncClient() as http:
        asking = asyncio.ensure_future(http.get(f"{house.server.url}/report"))
        await house.serving(1)
        draining = asyncio.ensure_future(house.run())
        await asyncio.sleep(0)
        house.gate.set()
        assert (await asking).json() == "the report"
        assert await draining == Drained(told=0, cancelled=0, left=0)


async def test_readiness_goes_off_first_and_new_clients_are_let_in_until_the_goodbye():
    """While it settles the probe reads 503 and everything works; then everyone reads 503."""
    house = House(settle_s=0.5)
    async with house, httpx.AsyncClient() as http:
        assert (await http.get(f"{house.server.url}/ready")).status_code == 200
        draining = asyncio.ensure_future(house.run())
        await asyncio.sleep(0)
        assert (await http.get(f"{house.server.url}/ready")).json() == {"ready": False}
        late = await house.ws()
        assert (await late.receive_json())["type"] == "shutdown"
        await draining
        with pytest.raises(Rejected) as caught:
            await house.ws()
        assert caught.value.status == 503
        response = await http.get(f"{house.server.url}/report")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_listeners_close_when_everybody_has_been_told():
    """Not before: a server that closes its sockets next cannot overtake the notices."""
    house = House()
    async with house:
        client = await house.ws()
        await house.serving(1)
        (connection,) = house.manager
        sent = []
        await house.drain.run(lambda: sent.append(connection.outbox.sent))
        assert sent == [1]
        assert (await client.receive_json())["type"] == "shutdown"


async def test_a_handler_that_will_not_end_is_counted_and_not_waited_for():
    """The drain is over in the time that its settings allow."""
    house = House(polite_s=0.1, cancel_s=0.1)
    async with house, httpx.AsyncClient() as http:
        asking = asyncio.ensure_future(http.get(f"{house.server.url}/stubborn"))
        await house.serving(1)
        assert await house.run() == Drained(told=0, cancelled=1, left=1)
        assert house.cleaned
        house.stubborn.set()
        await asking


async def test_hurry_ends_the_waits():
    """A second signal: whatever is open is cancelled now."""
    house = House(settle_s=60, polite_s=60)
    async with house:
        push = await house.ws("/push")
        await house.serving(1)
        draining = asyncio.ensure_future(house.run())
        await asyncio.sleep(0)
        house.drain.hurry()
        result = await draining
        assert result.cancelled == 1
        assert (await push.closed()).code == 1012


async def test_nobody_there_is_drained_at_once():
    """An idle process ends without a wait."""
    house = House(polite_s=60, cancel_s=60)
    before = time.monotonic()
    assert await house.run() == Drained(told=0, cancelled=0, left=0)
    assert time.monotonic() - before < 30


def test_a_negative_time_is_refused_by_name():
    """And the total is what an orchestrator has to grant at least."""
    with pytest.raises(ValueError, match="polite_s is -1"):
        DrainSettings(polite_s=-1)
    assert DrainSettings(settle_s=5).total_s == 10
