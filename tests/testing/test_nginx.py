"""Each directive of nginx is there for a reason: without it, this happens."""

import asyncio
import os
from contextlib import suppress

import httpx
import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from starlette.responses import StreamingResponse

from labkit.testing import nginx as room
from labkit.testing.clients import Disconnected, Rejected, Silence, SSEClient, WebSocketClient
from labkit.testing.faults import StalledStream
from labkit.testing.nginx import DIRECTIVES, Nginx, find_nginx
from labkit.testing.proxies import NoProxy
from labkit.testing.server import LiveServer

CHUNK, FLOOD = b"x" * 65536, 256
STRANGER = {"X-Forwarded-For": "6.6.6.6"}


@pytest.fixture
def nginx():
    """Skip aloud where nginx is missing, fail where nothing may be skipped."""
    try:
        find_nginx()
    except NoProxy as missing:
        if os.environ.get("LABKIT_REQUIRE_NGINX") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    return Nginx


@pytest.fixture
async def server():
    """Give a server that says what it sees, and streams one event."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_json({"address": websocket.client.host})
        with suppress(Exception):
            await websocket.receive_text()

    @app.get("/seen")
    async def seen(request: Request):
        return {
            "host": request.headers["host"],
            "scheme": request.headers.get("x-forwarded-proto"),
            "version": request.scope["http_version"],
        }

    @app.get("/events")
    async def events():
        async def body():
            yield "data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    @app.get("/flood")
    async def flood():
        async def body():
            for _ in range(FLOOD):
                app.state.made += 1
                yield CHUNK

        return StreamingResponse(body(), media_type="text/event-stream")

    app.state.made = 0
    async with LiveServer(app) as server:
        yield server


async def get(proxy, path):
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(proxy.url + path)


async def test_with_every_directive_all_of_it_works(nginx, server):
    """WebSocket, event stream, the client's own address, the host it asked for."""
    async with nginx(server.port) as proxy:
        async with await WebSocketClient.connect(f"{proxy.ws_url}/ws", headers=STRANGER) as client:
            assert await client.receive_json() == {"address": "127.0.0.1"}
        async with await SSEClient.connect(f"{proxy.url}/events") as stream:
            assert (await stream.next()).data == "1"
        seen = (await get(proxy, "/seen")).json()
        assert seen == {"host": f"127.0.0.1:{proxy.port}", "scheme": "http", "version": "1.1"}
        assert repr(proxy) == "Nginx(running)"
    assert repr(proxy) == "Nginx(stopped)"


async def test_without_upgrade_a_websocket_is_not_found(nginx, server):
    """The handshake arrives as an ordinary GET, and no such page exists."""
    async with nginx(server.port, without={"upgrade"}) as proxy:
        with pytest.raises(Rejected) as caught:
            await WebSocketClient.connect(f"{proxy.ws_url}/ws")
        assert caught.value.status == 404


async def flooded(server, proxy):
    """Return how much the application has made for a client that reads nothing."""
    stalled = await StalledStream.connect(f"{proxy.url}/flood")
    made = -1
    while server.app.state.made > made:
        made = server.app.state.made
        await asyncio.sleep(0.3)
    stalled.close()
    return made


async def test_with_buffering_off_the_application_notices_a_reader_who_has_stopped(nginx, server):
    """It has to wait, and its write deadline can do its work."""
    async with nginx(server.port) as proxy:
        assert await flooded(server, proxy) < FLOOD


async def test_without_buffering_off_nginx_takes_what_nobody_reads(nginx, server):
    """It keeps all of it, in memory and on its disk, and the application believes it is read."""
    async with nginx(server.port, without={"buffering"}) as proxy:
        assert await flooded(server, proxy) == FLOOD


async def test_without_http_1_1_the_application_is_asked_in_1_0(nginx, server):
    """It speaks HTTP/1.0 to what is behind it, unless told otherwise."""
    async with nginx(server.port, without={"http11"}) as proxy:
        assert (await get(proxy, "/seen")).json()["version"] == "1.0"


async def test_without_host_the_application_believes_to_be_called_app(nginx, server):
    """An origin check that compares with the host refuses everybody then."""
    async with nginx(server.port, without={"host"}) as proxy:
        assert (await get(proxy, "/seen")).json()["host"] == "app"


async def test_without_scheme_the_application_cannot_know_of_tls(nginx, server):
    """It sees no X-Forwarded-Proto."""
    async with nginx(server.port, without={"scheme"}) as proxy:
        assert (await get(proxy, "/seen")).json()["scheme"] is None


async def test_without_address_a_stranger_chooses_the_own_address(nginx, server):
    """The header passes through, and uvicorn believes it, since it comes from 127.0.0.1."""
    async with (
        nginx(server.port, without={"address"}) as proxy,
        await WebSocketClient.connect(f"{proxy.ws_url}/ws", headers=STRANGER) as client,
    ):
        assert await client.receive_json() == {"address": "6.6.6.6"}


async def test_a_silent_websocket_is_cut_after_the_read_timeout(nginx, server):
    """Without a close frame: 1006, and the application hears of it as a client that left."""
    async with (
        nginx(server.port, read_timeout_s=0.3) as proxy,
        await WebSocketClient.connect(f"{proxy.ws_url}/ws") as client,
    ):
        await client.receive()
        assert (await client.closed()).code == 1006


async def test_a_ping_of_the_server_keeps_the_websocket_alive(nginx):
    """A ping every 0.1 s, a read timeout of 0.4 s, and a second without a message."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await websocket.receive_text()

    async with (
        LiveServer(app, ws_ping_interval=0.1, ws_ping_timeout=5) as server,
        nginx(server.port, read_timeout_s=0.4) as proxy,
        await WebSocketClient.connect(f"{proxy.ws_url}/ws") as client,
    ):
        with pytest.raises(Silence):
            await client.receive(timeout_s=1)


async def test_without_retry_a_draining_server_turns_clients_away(nginx):
    """With it the next one is asked, so that nobody notices."""
    leaving, staying = FastAPI(), FastAPI()
    leaving.get("/")(lambda: Response(status_code=503))
    staying.get("/")(lambda: "here")

    async def answers(**options):
        async with nginx(first.port, second.port, **options) as proxy:
            return {(await get(proxy, "/")).status_code for _ in range(4)}

    async with LiveServer(leaving) as first, LiveServer(staying) as second:
        assert await answers() == {200}
        assert await answers(without={"retry"}) == {200, 503}


async def test_a_server_that_is_gone_is_passed_over(nginx, server):
    """Its port refuses, and the other one answers."""
    async with LiveServer(FastAPI()) as gone:
        port = gone.port
    async with nginx(port, server.port) as proxy:
        assert {(await get(proxy, "/seen")).status_code for _ in range(4)} == {200}


async def test_it_leaves_nobody_connected_when_it_ends(nginx, server):
    """Its clients see the end at once."""
    proxy = await nginx(server.port).start()
    client = await WebSocketClient.connect(f"{proxy.ws_url}/ws")
    await client.receive()
    await proxy.aclose()
    with pytest.raises(Disconnected):
        await client.receive()
    await proxy.aclose()


def test_a_directive_that_is_not_there_cannot_be_left_out():
    """The message names those that are."""
    with pytest.raises(ValueError, match="upgrade"):
        Nginx(1, without={"upgrades"})


def test_each_directive_stands_in_the_configuration_until_it_is_left_out():
    """What is left out is gone, and the others stay."""
    for name, text in DIRECTIVES.items():
        directive = text.partition("{")[0]  # there is a value in its place
        assert directive in Nginx(1).configuration
        assert directive not in Nginx(1, without={name}).configuration


def test_a_missing_nginx_names_the_cure(monkeypatch):
    """One sentence."""
    monkeypatch.setattr(room.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NoProxy, match="sudo apt install nginx"):
        find_nginx()
