"""Peers that misbehave do so for real, on the wire."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI, WebSocket
from websockets.frames import Close, Frame, Opcode

from labkit.testing.faults import Reaction, StalledReader, StalledStream, raw_frames
from labkit.testing.outcomes import Closed
from labkit.testing.server import LiveServer

TOO_MUCH = 64 * 1024 * 1024


async def test_a_stalled_reader_blocks_its_sender_until_it_thaws():
    """A server cannot get rid of its bytes while the reader stalls, and all arrive afterwards."""
    app = FastAPI()
    sent = asyncio.Event()
    heard = asyncio.Queue()

    @app.websocket("/ws")
    async def send_much(websocket: WebSocket) -> None:
        await websocket.accept()
        heard.put_nowait(await websocket.receive_text())
        for number in range(8):
            await websocket.send_text(str(number) * (TOO_MUCH // 8))
        sent.set()
        await websocket.close(1000, "all sent")

    async with LiveServer(app, tcp_user_timeout_s=None) as server:
        reader = await StalledReader.connect(server.ws_url + "/ws", first_messages=["subscribe"])
        assert await heard.get() == "subscribe"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sent.wait(), 0.3)
        messages = await reader.thaw(quiet_s=5)
        assert [message[0] for message in messages] == list("01234567")
        assert reader.closed == Closed(1000, "all sent")
        reader.close()


async def test_a_stalled_stream_reads_its_events_when_it_thaws(server):
    """An event stream that nobody read is there when somebody does."""
    stream = await StalledStream.connect(server.url + "/events")
    events = await stream.thaw(quiet_s=0.3)
    assert [event.data for event in events] == ["0", "1", "2"]
    stream.close()


@pytest.mark.parametrize(
    ("data", "reaction"),
    [
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), Reaction(1007, "", eof=True)),
        (
            Frame(Opcode.TEXT, b"hi").serialize(mask=False),
            Reaction(1002, "incorrect masking", eof=True),
        ),
        (
            Frame(Opcode.CLOSE, Close(4000, "bye").serialize()).serialize(mask=True),
            Reaction(4000, "bye", eof=True),
        ),
        (Frame(Opcode.TEXT, b"hi").serialize(mask=True), Reaction(None, "", False, ("hi",))),
    ],
    ids=["not UTF-8", "not masked", "goodbye", "nothing wrong"],
)
async def test_the_reaction_to_raw_bytes_is_reported(server, data, reaction):
    """What a server does about bytes is told by code, reason and end of connection."""
    assert await raw_frames(server.ws_url + "/echo", data, timeout_s=0.3) == reaction


async def test_a_message_that_is_too_big_gets_1009(server):
    """A message above ws_max_size is answered with 1009."""
    data = Frame(Opcode.TEXT, b"x" * 65537).serialize(mask=True)
    assert (await raw_frames(server.ws_url + "/echo", data)).code == 1009
