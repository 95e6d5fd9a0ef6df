"""What chapter 8 says of libraries, re-checked."""

import zlib

import pytest
from fastapi import FastAPI, WebSocket
from starlette.middleware.cors import CORSMiddleware
from websockets.frames import Frame, Opcode

from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.faults import raw_frames
from labkit.testing.server import LiveServer

BOMB_BYTES = 15 << 20


def echo(**options):
    """Return a server that answers with the length of what it got."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(str(len(text)))

    return app, LiveServer(app, **options)


async def test_cors_middleware_lets_every_websocket_through():
    """It answers preflights of HTTP; a WebSocket has none."""
    app, server = echo()
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    async with server:
        headers = {"Origin": "https://evil.example"}
        client = await WebSocketClient.connect(server.ws_url + "/ws", headers=headers)
        await client.send("x")
        assert await client.receive() == "1"


@pytest.mark.parametrize(("ws_max_size", "code"), [(64 * 1024, 1009), (16 << 20, None)])
async def test_the_limit_counts_what_is_inside_a_compressed_frame(ws_max_size, code):
    """ws_max_size is for the message, not for its bytes on the wire."""
    _, server = echo(ws_max_size=ws_max_size, ws_per_message_deflate=True)
    async with server:
        client = await WebSocketClient.connect(server.ws_url + "/ws", compression="deflate")
        await client.send("x" * BOMB_BYTES)
        if code is None:
            assert await client.receive() == str(BOMB_BYTES)
        else:
            assert (await client.closed()).code == code


def test_a_thousandth_of_the_bytes_is_enough():
    """Fifteen megabytes of one letter are fifteen kilobytes on the wire."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
    assert len(deflate.compress(b"x" * BOMB_BYTES) + deflate.flush()) < BOMB_BYTES / 900


async def test_empty_fragments_escape_the_size_limit():
    """Uvicorn's own protocol counts bytes, and there are none."""
    _, server = echo(ws_max_size=1024)
    fragment = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    begin = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
    async with server:
        reaction = await raw_frames(server.ws_url + "/ws", begin + fragment * 5000, timeout_s=0.5)
    assert (reaction.code, reaction.eof) == (None, False)


async def test_a_close_before_accept_is_a_403_without_a_reason():
    """What the guide's origin check sends is not what its client gets."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.close(1008, "Origin not allowed")

    async with LiveServer(app) as server:
        with pytest.raises(Rejected) as refusal:
            await WebSocketClient.connect(server.ws_url + "/ws")
    assert (refusal.value.status, refusal.value.body) == (403, b"")


@pytest.mark.parametrize(("options", "seen"), [({}, "192.0.2.7"), ({"proxy_headers": False}, None)])
async def test_x_forwarded_for_is_believed_from_this_machine(options, seen):
    """By default uvicorn takes a header for the address: a proxy is thought to be there."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(websocket.client.host)
        await websocket.close()

    async with LiveServer(app, **options) as server:
        headers = {"X-Forwarded-For": "192.0.2.7"}
        client = await WebSocketClient.connect(server.ws_url + "/ws", headers=headers)
        assert await client.receive() == (seen or "127.0.0.1")
