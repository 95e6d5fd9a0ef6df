"""What passes through whatever stands in front of a server: a proxy, or nothing.

Three questions that a proxy answers for better or worse, and two that only a real browser can:
how many event streams it opens, and whether it comes back after an answer that is not 200.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from fastapi import FastAPI, Response, WebSocket
from starlette.responses import HTMLResponse, StreamingResponse

from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.faults import StalledStream
from labkit.testing.proxies import Proxy
from labkit.testing.server import LiveServer
from labkit.workbench.chromium import in_chromium
from labkit.workbench.display import Table, table
from labkit.workbench.scenes import received

FORGED = {"X-Forwarded-For": "6.6.6.6"}
CORS = {"Access-Control-Allow-Origin": "*"}
CHUNK, CHUNKS = b"x" * 65536, 256
IDLE_S, PAUSE_S = 0.4, 0.3
STREAMS = 10
QUESTIONS = ("in front", "an idle WebSocket", "a forged address is", "a stalled reader is")

OPENED = """(base, count) => new Promise(done => {
    let open = 0, quiet;
    for (let n = 0; n < count; n++)
        new EventSource(base + "/events").onopen = () => {
            open++;
            clearTimeout(quiet);
            quiet = setTimeout(() => done(open), 700);
        };
})"""
GIVES_UP = """url => new Promise(done => {
    const stream = new EventSource(url);
    stream.onerror = () => done(stream.readyState === EventSource.CLOSED);
})"""


class FrontDoor:
    """A small application that sees what arrives.

    Attributes:
        app: the application.
        made: chunks made for each reader of `/flood/…`.
        asked: the statuses that `/no/…` was asked for.
    """

    def __init__(self) -> None:
        self.app = FastAPI()
        self.made: Counter[int] = Counter()
        self.asked: list[int] = []
        self.app.get("/")(lambda: HTMLResponse("<p>a page</p>"))
        self.app.get("/no/{status}")(self._no)
        self.app.get("/events")(self._events)
        self.app.get("/flood/{reader}")(self._flood)
        self.app.websocket("/ws")(self._who)

    async def _no(self, status: int) -> Response:
        self.asked.append(status)
        return Response(status_code=status, headers=CORS)

    async def _events(self) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream", headers=CORS)

    async def _flood(self, reader: int) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                self.made[reader] += 1
                yield CHUNK

        return StreamingResponse(body(), media_type="text/event-stream")

    async def _who(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.client.host if websocket.client else "nobody")
        await websocket.receive()


async def websocket_through(front: Proxy | LiveServer) -> tuple[str, str]:
    """Say what becomes of a WebSocket that nobody uses, and where the application sees it from."""
    try:
        client = await WebSocketClient.connect(front.ws_url + "/ws", headers=FORGED)
    except Rejected as rejected:
        return f"HTTP {rejected.status}", "-"
    async with client:
        address = str(await client.receive())
        closed = (await received(client, patience_s=IDLE_S))[0].closed
        return f"closed {closed.code}" if closed else "open", f"from {address}"


async def flood_through(front: Proxy | LiveServer, door: FrontDoor) -> str:
    """Say whether the application notices a client that asks for 16 MiB and reads nothing."""
    reader, before = len(door.made), -1
    door.made[reader] = 0
    stalled = await StalledStream.connect(f"{front.url}/flood/{reader}")
    while door.made[reader] > before:
        before = door.made[reader]
        await asyncio.sleep(PAUSE_S)
    stalled.close()
    return "hidden" if before == CHUNKS else "noticed"


async def compare(door: FrontDoor, fronts: Mapping[str, Proxy | LiveServer]) -> Table:
    """Ask each of them the three questions; a proxy is started for it and ended.

    Args:
        door: the application behind them all.
        fronts: by a name for people.
    """
    rows = await asyncio.gather(*(_row(door, name, each) for name, each in fronts.items()))
    return table(rows, QUESTIONS)


async def _row(door: FrontDoor, name: str, front: Proxy | LiveServer) -> tuple[str, ...]:
    async with AsyncExitStack() as stack:
        if isinstance(front, Proxy):
            await stack.enter_async_context(front)
        return (name, *await websocket_through(front), await flood_through(front, door))


class InBrowser(NamedTuple):
    """What a page has seen: streams open at both addresses, and whether it gave up for good."""

    plain: int
    tls: int
    gave_up: list[bool]


async def in_browser(plain_url: str, tls_url: str) -> InBrowser:
    """Open ten event streams at each address, then two that are answered with 503 and with 204.

    Raises:
        NoBrowser: there is none here.
    """
    script = f"""([plain, tls, count]) => Promise.all([
        ...[plain, tls].map(base => ({OPENED})(base, count)),
        ...[tls + "/no/503", tls + "/no/204"].map({GIVES_UP})
    ])"""
    argument = [plain_url, tls_url, STREAMS]
    plain, tls, *gave_up = await in_chromium(plain_url, script, argument, any_certificate=True)
    return InBrowser(plain, tls, gave_up)
