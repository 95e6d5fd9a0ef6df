"""The bare WebSocket does what it is told and no more."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from labkit.testing.outcomes import Closed, Rejected, Silence, Unreachable
from labkit.testing.raw import RawWebSocket


async def test_it_talks_to_a_real_server(server):
    """A message goes there and back through a real handshake."""
    raw = await RawWebSocket.connect(server.ws_url + "/echo")
    await raw.send("hello")
    assert await raw.read() == ["hello"]
    assert raw.closed is None
    raw.close()


async def test_fragments_are_put_together(server):
    """A message in two frames is one message."""
    raw = await RawWebSocket.connect(server.ws_url + "/echo")
    first = Frame(Opcode.TEXT, b"hel", fin=False).serialize(mask=True)
    await raw.write(first + Frame(Opcode.CONT, b"lo").serialize(mask=True))
    assert await raw.read() == ["hello"]
    raw.reset()


async def test_it_reports_the_close_frame(server):
    """Code and reason of the server's close frame are kept."""
    raw = await RawWebSocket.connect(server.ws_url + "/leave")
    while raw.closed is None:
        await raw.read()
    assert raw.close_frame == raw.closed == Closed(4001, "enough")
    raw.close()


async def test_a_reset_peer_is_an_end_without_a_frame(server):
    """A connection that broke is closed with 1006, and writing to it is in vain, not an error."""
    raw = await RawWebSocket.connect(server.ws_url + "/echo")
    for connection in server._server.server_state.connections:
        connection.transport.abort()
    while not raw.eof:
        await raw.read()
    await raw.send("anybody?")
    assert raw.closed == Closed(1006)
    raw.close()


async def test_failures_have_names(server):
    """A refusal, a wait in vain and an absent server are told apart."""
    with pytest.raises(Rejected, match="HTTP 503: no seat left"):
        await RawWebSocket.connect(server.ws_url + "/refuse")
    raw = await RawWebSocket.connect(server.ws_url + "/echo", name="eve")
    with pytest.raises(Silence, match=r"^eve heard nothing for 0\.01 s$"):
        await raw.read(timeout_s=0.01)
    raw.close()
    await server.stop()
    with pytest.raises(Unreachable, match=r"^raw could not connect"):
        await RawWebSocket.connect(server.ws_url + "/echo")
