"""Exercise 8.4: one guard for every door."""

from __future__ import annotations

import httpx
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.types import ASGIApp, Receive, Scope, Send

from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

OWN = "https://app.example"
FORBIDDEN = 403

exercise = Exercise[type](
    "8.4",
    title="one guard for every door",
    hints=(
        "A middleware sees every scope: `http`, `websocket` and `lifespan`. Only one is yours.",
        "`dict(scope['headers'])` has bytes: `.get(b'origin', b'').decode('latin-1')`.",
        "To refuse before `accept`: `await send({'type': 'websocket.close', 'code': 1008})`.",
        "After a refusal, return: the application must not hear of it.",
    ),
)


@exercise.solution
class Guard:
    """ASGI middleware that lets only pages of `allowed` origins open a WebSocket."""

    def __init__(self, app: ASGIApp, allowed: set[str]) -> None:
        self.app, self.allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or refuse a WebSocket of another origin before it is accepted."""
        # hole: a WebSocket whose origin is not allowed is closed; everything else is passed on
        origin = dict(scope.get("headers", [])).get(b"origin", b"").decode("latin-1")
        if scope["type"] == "websocket" and origin not in self.allowed:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)
        # end


class _Started(Guard):
    """What the wrong answers share."""

    def origin(self, scope: Scope) -> str:
        """Read the header."""
        return str(dict(scope.get("headers", [])).get(b"origin", b""), "latin-1")


@exercise.wrong("begins like one of yours")
class Prefix(_Started):
    """Compare beginnings."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `https://app.example.evil.example` in."""
        mine = any(self.origin(scope).startswith(each) for each in self.allowed)
        if scope["type"] == "websocket" and not mine:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)


@exercise.wrong("without an origin came in")
class TrustsSilence(_Started):
    """Ask only those who say something."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everyone in who sends no header."""
        origin = self.origin(scope)
        if scope["type"] == "websocket" and origin and origin not in self.allowed:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)


@exercise.wrong("a page that is only read")
class GuardsEverything(_Started):
    """Refuse HTTP as well, and the lifespan with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close whatever it is."""
        if scope["type"] != "lifespan" and self.origin(scope) not in self.allowed:
            kind = "websocket.close" if scope["type"] == "websocket" else "http.response.start"
            await send({"type": kind, "code": 1008, "status": FORBIDDEN, "headers": []})
            if scope["type"] == "http":
                await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


@exercise.wrong("one door only")
class OneDoor(_Started):
    """Guard the path that one thinks of."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forget the routes of tomorrow."""
        mine = self.origin(scope) in self.allowed
        if scope["type"] == "websocket" and scope["path"] == "/ws" and not mine:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)


def house() -> FastAPI:
    """Return an application with three WebSocket routes and a page."""
    app, router = FastAPI(), APIRouter(prefix="/admin")

    @app.websocket("/ws")
    @router.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(1000)

    app.get("/page")(lambda: "a page")
    app.include_router(router)
    app.add_api_websocket_route("/tomorrow", endpoint)
    return app


async def came_in(server: LiveServer, path: str, **headers: str) -> bool:
    """Say whether a page with these headers gets its WebSocket."""
    try:
        client = await WebSocketClient.connect(server.ws_url + path, headers=headers)
    except Rejected:
        return False
    await client.close()
    return True


@exercise.check
async def check(guard: type) -> None:
    """Three doors, four strangers, the own page, and a page that is only read."""
    async with LiveServer(guard(house(), {OWN})) as server:
        with scene("the doors of a real server", because="neither accepted nor refused"):
            for path in ("/ws", "/admin/ws", "/tomorrow"):
                evil = await came_in(server, path, origin="https://evil.example")
                because = "one door only is guarded: do not look at the path"
                expect(not evil, given=f"a foreign page at {path}", got="let in", because=because)
            alike = await came_in(server, "/ws", origin=f"{OWN}.evil.example")
            because = "it only begins like one of yours: compare the whole"
            expect(not alike, given="app.example.evil.example", got="let in", because=because)
            silent = await came_in(server, "/ws")
            because = "somebody without an origin came in: here that is no page of yours"
            expect(not silent, given="no Origin header", got="let in", because=because)
            own = await came_in(server, "/admin/ws", origin=OWN)
            expect(own, given="your own page", got="refused", because="this one may come in")
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await http.get(f"{server.url}/page")
        because = "a page that is only read is for everyone: pass HTTP on"
        expect_equal(page.status_code, 200, given="GET /page", because=because)
