"""Frames made once for everyone, and a turn's frames in one write."""

import asyncio

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from labkit.architecture import Manager, Outgoing, Router, add_subscriptions, encode
from labkit.performance import FrameProtocol
from labkit.performance.frames import frame
from labkit.testing.clients import Silence, WebSocketClient
from labkit.testing.faults import StalledReader, raw_frames
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Limits, Session

BIG = "x" * 60_000


class Counting(FrameProtocol):
    """Counts what reaches the transport, from the moment it is told to."""

    writes: list[int]
    ready_after_close: list[bool]

    def handle_close(self, event):
        """Note whether anything could still be written."""
        super().handle_close(event)
        type(self).ready_after_close.append(self.ready)

    def shutdown(self):
        """Note the same when the server stops."""
        super().shutdown()
        type(self).ready_after_close.append(self.ready)

    def write(self, messages):
        """Note how many messages one write has."""
        type(self).writes.append(len(messages))
        super().write(messages)


class House:
    """Some listeners of one topic, on a server with frames."""

    def __init__(self, **options):
        self.protocol = type("Protocol", (Counting,), {"writes": [], "ready_after_close": []})
        self.app, self.manager, router = FastAPI(), Manager(), Router()
        add_subscriptions(router, self.manager, may_subscribe=lambda *_: True)
        self.server = LiveServer(self.app, ws=self.protocol, **options)

        @self.app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            limits = Limits(write_timeout_s=0.3, close_timeout_s=0.3)
            await Session(
                websocket=websocket, manager=self.manager, on_text=router, limits=limits
            ).run()

    async def join(self, count=1, **options):
        """Connect clients that listen to `news`."""
        clients = []
        for n in range(count):
            client = await WebSocketClient.connect(
                self.server.ws_url + "/ws", name=str(n), **options
            )
            await client.send({"type": "subscribe", "topic": "news"})
            await client.receive()
            clients.append(client)
        self.protocol.writes.clear()
        return clients


def parsed(wire, *, extensions=()):
    """Return the frame that `websockets` reads from the bytes."""
    reader = StreamReader()
    reader.feed_data(wire)
    parser = Frame.parse(reader.read_exact, mask=False, extensions=list(extensions))
    with pytest.raises(StopIteration) as done:
        next(parser)
    assert not reader.buffer
    return done.value.value


@given(st.one_of(st.text(), st.binary()))
def test_a_frame_is_what_another_implementation_reads(payload):
    """Opcode, length and payload of any message survive."""
    read = parsed(frame(payload))
    assert read.opcode == (Opcode.TEXT if isinstance(payload, str) else Opcode.BINARY)
    assert read.data == (payload.encode() if isinstance(payload, str) else payload)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_each_form_of_the_length_is_right(size):
    """Seven bits, sixteen, sixty-four: both sides of every boundary."""
    assert len(parsed(frame(b"x" * size)).data) == size


@given(st.binary(max_size=5000))
def test_a_compressed_frame_needs_no_other(payload):
    """Each one is decompressed without the ones before."""
    inflate = PerMessageDeflate(True, True, 12, 12)
    assert parsed(frame(payload, deflate=True), extensions=[inflate]).data == payload


async def test_a_turn_is_one_write_for_each_connection():
    """Ten messages published in one turn reach the transport together, in order."""
    house = House()
    async with house.server:
        clients = await house.join(3)
        for n in range(10):
            house.manager.publish("news", encode("n", n=n))
        for client in clients:
            assert [m["n"] for m in await client.receive_many(10)] == list(range(10))
    assert house.protocol.writes[:3] == [10, 10, 10]


async def test_a_message_is_framed_once_for_all():
    """Every connection gets the same bytes, made by the first."""
    house = House()
    async with house.server:
        clients = await house.join(3)
        message = encode("news", text="once")
        house.manager.publish("news", message)
        for client in clients:
            await client.receive()
    assert message.made == {"frame": frame(message.payload)}


async def test_connections_that_hear_different_things_get_just_those():
    """What one connection wrote is not what the next one gets."""
    house = House()
    async with house.server:
        first, second = await house.join(2)
        await second.send({"type": "subscribe", "topic": "more"})
        await second.receive()
        house.manager.publish("news", encode("a"))
        house.manager.publish("more", encode("b"))
        assert [m["type"] for m in await second.receive_many(2)] == ["a", "b"]
        assert (await first.receive_json())["type"] == "a"
        with pytest.raises(Silence):
            await first.receive(timeout_s=0.05)


async def test_deflate_is_shared_and_understood():
    """A browser's offer is accepted without context, and one compression serves all."""
    house = House(ws_per_message_deflate=True)
    async with house.server:
        clients = await house.join(3, compression="deflate")
        message = encode("news", text="again and " * 100)
        for _ in range(3):
            house.manager.publish("news", message)
        for client in clients:
            assert {await client.receive() for _ in range(3)} == {message.payload}
    assert set(message.made) == {"deflated frame"}
    assert len(message.made["deflated frame"]) < message.size / 5


async def test_clients_with_and_without_deflate_hear_the_same():
    """Each connection gets the form that it agreed to."""
    house = House(ws_per_message_deflate=True)
    async with house.server:
        (plain,), (deflated,) = await house.join(1), await house.join(1, compression="deflate")
        message = encode("news", text="again and " * 100)
        house.manager.publish("news", message)
        assert await plain.receive() == await deflated.receive() == message.payload
    assert set(message.made) == {"frame", "deflated frame"}


async def test_nothing_is_written_after_a_close_frame():
    """RFC 6455 §5.5.1, when the peer closes and when the server stops."""
    house = House()
    async with house.server:
        first, _stays = await house.join(2)
        await first.close()
        await until(lambda: house.protocol.ready_after_close == [False])
    assert house.protocol.ready_after_close == [False, False]


async def test_a_reader_that_stalls_is_closed_as_before():
    """A full transport is ASGI's affair: backlog, deadline, 1013."""
    house = House()
    async with house.server:
        (healthy,) = await house.join(1)
        subscribe = '{"type": "subscribe", "topic": "news"}'
        stalled = await StalledReader.connect(
            house.server.ws_url + "/ws", name="eve", first_messages=[subscribe]
        )
        await until(lambda: len(house.manager) == 2)
        sent = 0
        while len(house.manager) == 2:
            house.manager.publish("news", encode("photo", n=sent, pixels=BIG))
            assert (await healthy.receive_json())["n"] == sent
            sent += 1
        assert healthy.open
        stalled.close()


async def test_a_peer_that_has_left_is_not_written_to():
    """After a reset nothing is ready, and the session ends."""
    house = House()
    async with house.server:
        (client,) = await house.join(1)
        client.abort()
        await until(lambda: not len(house.manager))
        assert house.manager.publish("news", encode("a")) == 0


async def test_other_senders_keep_their_place():
    """Answers of the router and published messages arrive in the order in which they were sent."""
    house = House()
    async with house.server:
        (client,) = await house.join(1)
        (connection,) = house.manager
        for n in range(3):
            connection.send(encode("n", n=n))
            await asyncio.sleep(0)
        connection.send(Outgoing(b"bytes", 5))
        connection.send(encode("n", n=3))
        kinds = [type(await client.receive()) for _ in range(5)]
    assert kinds == [str, str, str, bytes, str]


def test_uvicorn_has_what_this_stands_on():
    """Its internals may change with any version; this says which one did."""
    config = uvicorn.Config("nowhere:app", ws=FrameProtocol, log_config=None, interface="asgi3")
    config.loaded_app, config.loaded = None, True
    loop = asyncio.new_event_loop()
    try:
        protocol = FrameProtocol(config, uvicorn.server.ServerState(), {}, loop)
    finally:
        loop.close()
    needed = {"writable", "handshake_complete", "close_sent", "disconnected", "transport", "conn"}
    assert {name for name in needed if not hasattr(protocol, name)} == set()
    assert callable(FrameProtocol.__mro__[1].handle_connect)


async def test_a_message_in_too_many_fragments_is_too_big():
    """A thousand are enough for anyone; empty ones would be kept for ever."""
    house = House()
    begin = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
    fragment = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    async with house.server:
        url = house.server.ws_url + "/ws"
        many = await raw_frames(url, begin + fragment * 5000, timeout_s=0.5)
        few = await raw_frames(url, begin + fragment * 500, timeout_s=0.3)
    assert (many.code, few.code) == (1009, None)
