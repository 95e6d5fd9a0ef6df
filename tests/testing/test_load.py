"""Many clients in one process of their own."""

import asyncio
import json
import time

import pytest
from fastapi import FastAPI, Request, WebSocket
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture import Manager, Router, add_subscriptions, encode
from labkit.performance import FrameProtocol
from labkit.performance.frames import frame
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.load import Counted, Load
from labkit.testing.load_client import count_events, count_frames
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Session

HELLO = '{"type":"subscribe","topic":"news"}'


class Hall:
    """A room for a crowd, on a real server."""

    def __init__(self, **server):
        self.manager, self.broker, self.app, router = Manager(), MemoryBroker(), FastAPI(), Router()
        add_subscriptions(router, self.manager, may_subscribe=lambda *_: True)
        self.server = LiveServer(self.app, **server)

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            await Session(websocket=websocket, manager=self.manager, on_text=router).run()

        @self.app.get("/events")
        async def events(request: Request):
            return event_stream(request, self.broker, ["news"], may_subscribe=lambda _: True)


@pytest.mark.parametrize("ws", ["auto", FrameProtocol], ids=["asgi", "frames"])
async def test_every_message_of_every_client_is_counted(ws):
    """The answer to the hello, then what is published; latencies come from the messages."""
    hall = Hall(ws=ws)
    async with (
        hall.server,
        Load(hall.server.ws_url + "/ws", connections=20, hello=HELLO) as load,
    ):
        assert (await load.until(messages_per_connection=1)).messages == 20
        for n in range(50):
            hall.manager.publish("news", encode("n", n=n, t=time.monotonic()))
        counted = await load.until(messages_per_connection=50)
    assert (counted.connections, counted.messages, counted.short) == (20, 1000, 0)
    assert counted.percentile_ms(50) > 0
    assert counted.bytes > 1000 * 20


async def test_what_is_missing_is_told():
    """After the deadline, and the clients that got too few are counted."""
    hall = Hall()
    async with (
        hall.server,
        Load(hall.server.ws_url + "/ws", connections=3, hello=HELLO) as load,
    ):
        counted = await load.until(messages_per_connection=2, timeout_s=0.3)
        assert (counted.messages, counted.short) == (3, 3)


async def test_events_of_a_stream_are_counted():
    """Comments and ids are none."""
    hall = Hall()

    async with hall.server:
        url = hall.server.url + "/events"
        async with Load(url, connections=5, kind="sse") as load:
            await until(lambda: len(hall.broker.subscriptions) == 5)
            for n in range(10):
                await hall.broker.publish("news", json.dumps({"n": n}))
            counted = await load.until(messages_per_connection=10)
    assert (counted.messages, counted.short) == (50, 0)


async def test_a_refusal_is_an_error():
    """And says what the server answered."""
    hall = Hall()
    async with hall.server:
        with pytest.raises(ConnectionError, match="HTTP 403"):
            async with Load(hall.server.ws_url + "/nowhere"):
                pass


async def test_the_clients_leave_with_their_process():
    """Nothing is left at the server."""
    hall = Hall()
    async with hall.server:
        async with Load(hall.server.ws_url + "/ws", connections=10, hello=HELLO):
            await until(lambda: len(hall.manager) == 10)
        await until(lambda: len(hall.manager) == 0)
        await asyncio.sleep(0)


@given(st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=8), st.data())
def test_frames_are_counted_however_they_are_cut(payloads, data):
    """Of any sizes, in any pieces."""
    wire = b"".join(frame(each) for each in payloads)
    cut = data.draw(st.integers(0, len(wire)))
    first, rest = count_frames(wire[:cut])
    second, rest = count_frames(rest + wire[cut:])
    assert (first + second, rest) == (len(payloads), b"")


@given(st.integers(0, 5), st.data())
def test_events_are_counted_however_they_are_cut(count, data):
    """A line that is cut is one line."""
    wire = b": hello\n\n" + b"id: 1\nevent: n\ndata: {}\n\n" * count
    cut = data.draw(st.integers(0, len(wire)))
    first, rest = count_events(wire[:cut])
    second, _ = count_events(rest + wire[cut:])
    assert first + second == count


def test_without_times_there_is_no_percentile():
    """The message says what to do."""
    with pytest.raises(ValueError, match=r"time\.monotonic"):
        Counted(1, 1, 1, 0, [], 1, 1).percentile_ms(50)
