"""The link shows the wire and breaks it."""

from __future__ import annotations

import asyncio

import pytest

from labkit.testing.clients import Closed, Silence, SSEClient, WebSocketClient
from labkit.testing.link import Link
from labkit.testing.server import LiveServer


async def test_frames_of_both_sides_are_recorded(server):
    """Text, ping, pong and close are there with opcode, code and reason."""
    async with Link(server.url) as link:
        client = await WebSocketClient.connect(link.ws_url + "/echo")
        await client.send("hello")
        await client.receive()
        await (await client.connection.ping(b"p1"))
        await client.close(4000, "done")
        assert [str(frame) for frame in link.frames()] == [
            "client: TEXT hello",
            "server: TEXT hello",
            "client: PING 2 bytes",
            "server: PONG 2 bytes",
            "client: CLOSE 4000 done",
            "server: CLOSE 4000 done",
        ]
        assert [frame.masked for frame in link.frames()[:2]] == [True, False]


async def test_the_servers_pings_are_seen(app, eventually):
    """Keep-alive pings, which no client shows, are on the wire."""
    async with LiveServer(app, ws_ping_interval=0.05) as server, Link(server.url) as link:
        async with await WebSocketClient.connect(link.ws_url + "/echo"):
            await eventually(lambda: len(link.frames()) >= 2)
        assert [f"{frame.src} {frame.opcode}" for frame in link.frames()[:2]] == [
            "server PING",
            "client PONG",
        ]


async def test_event_streams_are_bytes_and_no_frames(server):
    """A plain HTTP exchange is recorded as bytes."""
    async with Link(server.url) as link:
        async with await SSEClient.connect(link.url + "/events") as stream:
            await stream.next()
        assert link.frames() == []
        assert link.raw[0].src == "client"
        assert link.raw[0].data.startswith(b"GET /events HTTP/1.1\r\n")
        assert b"data: 0\r\n" in b"".join(chunk.data for chunk in link.raw)


async def test_a_stall_holds_bytes_and_a_resume_lets_them_go(server):
    """While stalled nothing arrives; afterwards nothing is missing."""
    async with Link(server.url) as link:
        client = await WebSocketClient.connect(link.ws_url + "/echo")
        link.stall()
        await client.send("late")
        with pytest.raises(Silence):
            await client.receive(timeout_s=0.1)
        link.resume()
        assert await client.receive() == "late"
        await client.close()


async def test_a_reset_breaks_both_ends(server, eventually):
    """Both ends see a connection that broke, without a close frame."""
    async with Link(server.url) as link:
        client = await WebSocketClient.connect(link.ws_url + "/echo")
        link.reset()
        assert await client.closed() == Closed(1006)
        await eventually(lambda: server.connections == 0)


async def test_half_open_is_a_client_gone_without_a_word(server, eventually):
    """The client is gone, and the server still holds its connection."""
    async with Link(server.url) as link:
        client = await WebSocketClient.connect(link.ws_url + "/echo")
        await client.send("x")
        await client.receive()
        link.half_open()
        assert await client.closed() == Closed(1006)
        assert server.connections == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(eventually(lambda: server.connections == 0), 0.2)


async def test_a_stop_leaves_nothing(server, eventually):
    """After stop, with a connection open, tasks are what they were."""
    before = asyncio.all_tasks()
    link = await Link(server.url).start()
    client = await WebSocketClient.connect(link.ws_url + "/echo")
    link.stall()
    await link.stop()
    await link.stop()
    assert await client.closed() == Closed(1006)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_a_server_that_is_gone_is_a_closed_connection(server):
    """Without a server behind it, the link ends the client's connection."""
    await server.stop()
    async with Link(server.url) as link:
        with pytest.raises(ConnectionError):
            await WebSocketClient.connect(link.ws_url + "/echo")


async def test_the_record_is_bounded(server):
    """Bytes beyond the limit pass but are not kept."""
    async with Link(server.url, max_record_bytes=1000) as link:
        async with await WebSocketClient.connect(link.ws_url + "/echo") as client:
            await client.send("x" * 5000)
            assert await client.receive() == "x" * 5000
        assert sum(len(chunk.data) for chunk in link.raw) <= 1000
