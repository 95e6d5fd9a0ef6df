"""What we rely on in uvicorn, redis-py and browsers. Red here means: a lesson has to change."""

import asyncio
import inspect
import os

import httpx
import pytest
import redis.asyncio as redis
from fastapi import FastAPI, WebSocket
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.testclient import TestClient
from uvicorn.protocols.websockets import auto, websockets_sansio_impl

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import raw_frames
from labkit.testing.link import Link
from labkit.testing.proxies import Caddy
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until
from labkit.workbench.checkmember import HUGE_FRAME
from labkit.workbench.chromium import NoBrowser
from labkit.workbench.frontdoor import FrontDoor, in_browser


class Listener:
    """A task on redis-py's pub/sub, as the documentation writes it."""

    def __init__(self, client):
        self.heard, self.confirmed = [], 0
        self._client = client
        self.task = asyncio.ensure_future(self._listen())

    async def _listen(self):
        async with self._client.pubsub() as channel:
            await channel.subscribe("hall")
            async for message in channel.listen():
                if message["type"] == "message":
                    self.heard.append(message["data"])
                else:
                    self.confirmed += 1

    async def __aenter__(self):
        await until(lambda: self.confirmed)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.wait({self.task})
        await self._client.aclose()


async def test_redis_py_subscribes_again_after_a_short_outage_and_says_nothing():
    """What was published meanwhile is gone, without an error and without a gap."""
    with ValkeyServer() as valkey:
        async with Listener(redis.Redis(port=valkey.port)) as listener:
            valkey.restart()
            await until(lambda: listener.confirmed == 2)
            assert not listener.task.done()
            assert listener.heard == []


async def test_redis_py_from_url_ends_its_listener_at_the_first_broken_connection():
    """The task ends with a ConnectionError that nobody reads, though the server is back."""
    with ValkeyServer() as valkey:
        async with Listener(redis.Redis.from_url(valkey.url)) as listener:
            valkey.restart()
            await asyncio.wait({listener.task}, timeout=5)
            assert isinstance(listener.task.exception(), redis.ConnectionError)


async def test_redis_py_gives_up_after_its_retries():
    """An outage that is longer than they take is the end; here with one retry."""
    with ValkeyServer() as valkey:
        retry = Retry(NoBackoff(), 1)
        async with Listener(redis.Redis(port=valkey.port, retry=retry)) as listener:
            valkey.kill()
            await asyncio.wait({listener.task}, timeout=5)
            assert isinstance(listener.task.exception(), redis.ConnectionError)


def test_redis_py_retries_ten_times_by_default_and_never_with_from_url():
    """With pauses of at most a second: an outage of ten seconds is the end."""
    by_host = redis.Redis().connection_pool.make_connection().retry
    by_url = redis.Redis.from_url("redis://127.0.0.1").connection_pool.make_connection().retry
    assert (by_host.get_retries(), by_host._backoff._cap) == (10, 1)
    assert by_url.get_retries() == 0


async def test_uvicorn_believes_the_address_that_a_local_client_claims():
    """It trusts 127.0.0.1, so a proxy on the same machine must set X-Forwarded-For, not pass it."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(websocket.client.host)

    async with LiveServer(app) as server:
        forged = {"X-Forwarded-For": "6.6.6.6"}
        async with await WebSocketClient.connect(f"{server.ws_url}/ws", headers=forged) as client:
            assert await client.receive() == "6.6.6.6"


def test_uvicorn_s_default_websockets_do_not_read_ws_max_queue():
    """They take one message at a time, whatever it says."""
    assert auto.AutoWebSocketsProtocol is websockets_sansio_impl.WebSocketsSansIOProtocol
    source = inspect.getsource(websockets_sansio_impl)
    assert "ws_max_size" in source
    assert "ws_max_queue" not in source


def echo():
    """Echo what comes, over a WebSocket and over HTTP."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        while (message := await websocket.receive()).get("bytes"):
            await websocket.send_bytes(message["bytes"])

    app.post("/say")(lambda: "ok")
    return app


async def test_the_test_client_delivers_what_a_server_refuses():
    """No size limit of uvicorn is in it, so a test with it cannot fail there."""
    huge = b"x" * (1 << 20)
    with TestClient(echo()) as client, client.websocket_connect("/ws") as session:
        session.send_bytes(huge)
        assert session.receive_bytes() == huge
    async with LiveServer(echo()) as server:
        assert (await raw_frames(f"{server.ws_url}/ws", HUGE_FRAME)).code == 1009


async def test_a_word_as_a_request_takes_ten_times_the_bytes():
    """Measured on the wire, without the handshake and the first request."""
    async with LiveServer(echo()) as server:
        async with Link(server.url) as link:
            async with await WebSocketClient.connect(f"{link.ws_url}/ws") as client:
                for _ in range(5):
                    await client.send(b"hello")
                    await client.receive()
            as_frames = sum(len(chunk.data) for chunk in link.raw if chunk.src == "client")
            handshake = len(link.raw[0].data)
        async with Link(server.url) as link:
            async with httpx.AsyncClient(base_url=link.url, trust_env=False) as http:
                for _ in range(5):
                    await http.post("/say", content=b"hello")
            as_requests = sum(len(chunk.data) for chunk in link.raw if chunk.src == "client")
    assert as_requests > 10 * (as_frames - handshake)


@pytest.fixture
async def seen():
    """Give what a real browser saw; skip aloud without one, fail where nothing may be skipped."""
    door = FrontDoor()
    async with LiveServer(door.app) as server, Caddy(server.port) as proxy:
        try:
            found = await in_browser(server.url, proxy.tls_url)
        except NoBrowser as missing:
            if os.environ.get("LABKIT_REQUIRE_CHROMIUM") == "1":
                pytest.fail(str(missing))
            pytest.skip(str(missing))
    return found, door


async def test_a_browser_opens_six_streams_over_http_1_1_and_all_over_http_2(seen):
    """Six connections for each host; over HTTP/2 the streams share one."""
    found, _ = seen
    assert (found.plain, found.tls) == (6, 10)


async def test_a_browser_s_event_source_gives_up_after_one_503_or_204(seen):
    """It asks once, and never again (WHATWG HTML §9.2.2)."""
    found, door = seen
    assert (found.gave_up, sorted(door.asked)) == ([True, True], [204, 503])
