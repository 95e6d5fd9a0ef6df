"""The WebSocket client: deadlines, and the truth about how a connection ended."""

from __future__ import annotations

import pytest

from labkit.testing.clients import Closed, Disconnected, Rejected, Silence, WebSocketClient
from labkit.testing.faults import reset


async def test_it_sends_text_bytes_and_json(server):
    """Text is sent as it is, and anything that is not text or bytes as JSON."""
    async with await WebSocketClient.connect(server.ws_url + "/echo") as client:
        await client.send("hello")
        await client.send({"name": "ada", "é": [1]})
        assert await client.receive() == "hello"
        assert await client.receive() == '{"name":"ada","é":[1]}'
        for number in range(3):
            await client.send(number)
        assert await client.receive_many(3) == [0, 1, 2]


async def test_silence_names_the_client_and_the_deadline(server):
    """A wait in vain says who heard nothing for how long, and the client lives on."""
    async with await WebSocketClient.connect(server.ws_url + "/echo", name="ada") as client:
        with pytest.raises(Silence, match=r"^ada heard nothing for 0\.01 s$"):
            await client.receive(timeout_s=0.01)
        await client.send("x")
        assert await client.receive() == "x"


async def test_silence_at_the_end(server):
    """Waiting for the end of a connection that stays open has a deadline."""
    url = server.ws_url + "/echo"
    async with await WebSocketClient.connect(url, name="ada") as client:
        client.timeout_s = 0.05
        with pytest.raises(Silence, match="ada was not closed for"):
            await client.closed()


async def test_the_end_has_code_and_reason(server):
    """`closed` drops what was still to be read, and says how the server ended it."""
    client = await WebSocketClient.connect(server.ws_url + "/leave")
    assert await client.closed() == Closed(4001, "enough")
    assert not client.open


async def test_receiving_from_a_closed_connection_says_why(server):
    """A receive that can never succeed says how the connection ended."""
    client = await WebSocketClient.connect(server.ws_url + "/leave", name="ada")
    assert await client.receive() == "bye"
    with pytest.raises(Disconnected, match=r"^ada was closed: 4001 enough$"):
        await client.receive()
    with pytest.raises(Disconnected, match="ada was closed: 4001 enough"):
        await client.send("x")


async def test_a_refused_handshake_has_status_and_body(server):
    """An HTTP answer to the handshake is reported with its status, headers and body."""
    with pytest.raises(Rejected, match=r"^HTTP 503: no seat left$") as caught:
        await WebSocketClient.connect(server.ws_url + "/refuse")
    assert caught.value.status == 503
    assert caught.value.body == b"no seat left"
    assert caught.value.headers["connection"] == "close"


async def test_a_reset_is_an_end_without_a_frame(server):
    """A client that vanished sees 1006, and the server lets go of it."""
    client = await WebSocketClient.connect(server.ws_url + "/echo")
    reset(client)
    assert await client.closed() == Closed(1006)
    assert repr(client) == "WebSocketClient(client, closed)"


async def test_receive_until_passes_over_other_messages(server):
    """What came before comes back as well, in order: it proves what did not come."""
    async with await WebSocketClient.connect(server.ws_url + "/echo") as client:
        for message in ({"type": "hello"}, [1], {"type": "pong", "n": 1}, {"type": "later"}):
            await client.send(message)
        *before, pong = await client.receive_until("pong")
        assert (before, pong["n"]) == ([{"type": "hello"}, [1]], 1)
        assert await client.receive_json() == {"type": "later"}


async def test_receive_until_has_one_deadline_for_the_whole_wait(server):
    """Chatter does not prolong it, and the message names what was heard."""
    async with await WebSocketClient.connect(server.ws_url + "/echo", name="ada") as client:
        await client.send({"type": "hello"})
        heard = r"^ada waited 0\.2 s for 'pong', and heard hello$"
        with pytest.raises(Silence, match=heard):
            await client.receive_until("pong", timeout_s=0.2)
    chatter = await WebSocketClient.connect(server.ws_url + "/chatter")
    with pytest.raises(Silence, match="and heard presence, presence"):
        await chatter.receive_until("pong", timeout_s=0.2)
    chatter.abort()


async def test_receive_until_tells_when_the_connection_ends(server):
    """A close is no silence."""
    client = await WebSocketClient.connect(server.ws_url + "/leave-politely")
    with pytest.raises(Disconnected, match="4001 enough"):
        await client.receive_until("pong")
