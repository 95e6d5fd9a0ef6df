"""What a browser is told about the pages."""

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse

from labkit.security import SecurityHeaders
from labkit.security.headers import DEFAULTS
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer


def app_with(**options):
    """Return an application with a page, a stream and a WebSocket."""
    app, broker = FastAPI(), MemoryBroker()
    app.get("/own")(lambda: HTMLResponse("", headers={"Referrer-Policy": "origin"}))
    app.get("/page")(lambda: "a page")

    @app.get("/events")
    async def events(request: Request):
        return event_stream(request, broker, ["news"], may_subscribe=lambda _: True)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    app.add_middleware(SecurityHeaders, **options)
    return app


@pytest.fixture
async def http():
    """Return a client of the application."""
    async with LiveServer(app_with()) as server, httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def test_a_page_has_them_all(http):
    """Each default is there, errors included."""
    for path in ("/page", "/nowhere"):
        headers = (await http.get(path)).headers
        assert {name: headers[name] for name in DEFAULTS} == dict(DEFAULTS)
        assert "strict-transport-security" not in headers


async def test_what_a_page_says_itself_stays(http):
    """Only what is missing is added."""
    assert (await http.get("/own")).headers.get_list("referrer-policy") == ["origin"]


async def test_a_stream_is_kept_by_nobody(http):
    """An event stream is meant for one reader."""
    async with http.stream("GET", "/events") as response:
        assert "no-store" in response.headers["cache-control"]


async def test_over_tls_the_browser_stays_on_tls():
    """The scheme is what the server, or its trusted proxy, says."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    scope = {"type": "http", "scheme": "https", "method": "GET", "path": "/page", "headers": [],
             "query_string": b"", "http_version": "1.1"}  # fmt: skip
    await app_with()(scope, receive, send)
    assert (b"strict-transport-security", b"max-age=63072000; includeSubDomains") in sent[0][
        "headers"
    ]


async def test_each_can_be_changed_or_left_out():
    """An empty value removes one."""
    app = app_with(headers={"referrer-policy": "", "x-content-type-options": "other"})
    async with LiveServer(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        headers = (await client.get("/page")).headers
    assert "referrer-policy" not in headers
    assert headers["x-content-type-options"] == "other"


async def test_a_websocket_passes_untouched():
    """It has no headers that a browser would read."""
    async with LiveServer(app_with()) as server:
        client = await WebSocketClient.connect(server.ws_url + "/ws")
        assert await client.receive() == "hello"
