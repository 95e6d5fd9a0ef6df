"""Whose pages may connect."""

import logging

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.routing import APIWebSocketRoute
from starlette.routing import WebSocketRoute

from labkit.security import OriginGuard
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.server import LiveServer

OWN, EVIL = "https://app.example", "https://evil.example"


def guarded(missing="refuse", allowed=(OWN,)):
    """Return an application with routes of every kind, behind the guard."""
    app, router, broker = FastAPI(), APIRouter(prefix="/deep"), MemoryBroker()

    @app.websocket("/ws")
    @router.websocket("/ws/{name}")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    async def plain(websocket):
        await endpoint(websocket)

    @app.get("/events")
    async def events(request: Request):
        return event_stream(request, broker, ["news"], may_subscribe=lambda _: True)

    app.post("/transfer")(lambda: "done")
    app.get("/page")(lambda: "a page")
    app.include_router(router)
    app.router.routes.append(WebSocketRoute("/late", plain))
    app.add_middleware(OriginGuard, allowed=allowed, missing=missing)
    return app


async def knock(server, path, **headers):
    """Return the first message, or the status of the refusal."""
    try:
        client = await WebSocketClient.connect(server.ws_url + path, headers=headers)
    except Rejected as refusal:
        return refusal.status
    async with client:
        return await client.receive()


async def test_every_websocket_route_is_guarded():
    """Those of routers and those that somebody adds later: the routes are walked."""
    app = guarded()
    routes = [r for r in walk(app.routes) if isinstance(r, WebSocketRoute | APIWebSocketRoute)]
    assert len(routes) == 3
    async with LiveServer(app) as server:
        for route in routes:
            path = route.path.replace("{name}", "ada")
            assert await knock(server, path, origin=EVIL) == 403
            assert await knock(server, path, origin=OWN) == "hello"


def walk(routes):
    """Yield every route, those of included routers too."""
    for route in routes:
        yield route
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", []
        )
        prefix = getattr(getattr(route, "include_context", None), "prefix", "")
        for each in walk(inner):
            if prefix and not each.path.startswith(prefix):
                each.path = prefix + each.path
            yield each


@pytest.mark.parametrize(("missing", "answer"), [("allow", "hello"), ("refuse", 403)])
async def test_a_program_without_an_origin_is_a_decision(missing, answer):
    """Nobody discovers it in production."""
    async with LiveServer(guarded(missing)) as server:
        assert await knock(server, "/ws") == answer


async def test_a_cookie_is_what_makes_a_request_dangerous():
    """A page of another origin gets nothing with the victim's cookie; without one it is nobody."""
    async with LiveServer(guarded()) as server, httpx.AsyncClient(base_url=server.url) as http:
        evil, own, cookie = {"origin": EVIL}, {"origin": OWN}, {"cookie": "session=ada"}
        assert (await http.post("/transfer", headers=evil | cookie)).status_code == 403
        assert (await http.post("/transfer", headers=own | cookie)).status_code == 200
        assert (await http.post("/transfer", headers=evil)).status_code == 200
        assert (await http.get("/page", headers=cookie)).status_code == 200
        assert (await http.get("/events", headers=evil | cookie)).status_code == 403


async def test_a_refusal_is_one_line_that_nobody_can_forge(caplog):
    """The origin is escaped and cut; it is no error of ours."""
    caplog.set_level(logging.INFO, "labkit.security.origin")
    async with LiveServer(guarded()) as server:
        await knock(server, "/ws", origin="https://evil.example/é" + "x" * 500)
    (record,) = [each for each in caplog.records if each.name == "labkit.security.origin"]
    assert record.levelname == "INFO"
    assert record.getMessage().isascii()
    assert len(record.getMessage()) < 150


async def test_a_server_without_denials_gets_a_plain_refusal():
    """ASGI's denial response is an extension."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    guard = OriginGuard(guarded(), allowed=[OWN], missing="refuse")
    scope = {"type": "websocket", "headers": [], "path": "/ws", "extensions": {}}
    await guard(scope, receive, send)
    assert [each["type"] for each in sent] == ["websocket.close"]
    assert guard.refused == 1


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("HTTPS://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
async def test_an_origin_is_compared_as_browsers_write_it(written, sent):
    """However it is written in the settings."""
    async with LiveServer(guarded(allowed=[written])) as server:
        assert await knock(server, "/ws", origin=sent) == "hello"


@pytest.mark.parametrize(
    "allowed",
    [[], "https://app.example", ["*"], ["null"], ["app.example"], ["https://app.example/"],
     ["https://*.app.example"], ["ftp://app.example"], ["https://ada@app.example"],
     ["https://app.example:port"]],
    ids=str,
)  # fmt: skip
def test_what_is_no_origin_fails_at_the_start(allowed):
    """Not at the first visitor."""
    with pytest.raises(ValueError, match="allowed "):
        OriginGuard(FastAPI(), allowed=allowed, missing="refuse")
