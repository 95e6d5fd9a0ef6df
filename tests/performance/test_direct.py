"""Past the wrappers: what is written inline does not pass through the frameworks' `send`."""

import contextlib

import pytest
from fastapi import FastAPI, Request, WebSocket

from labkit.architecture import Manager, Router, add_subscriptions, encode
from labkit.performance import DirectSend
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Session


class Watching:
    """Middleware that notes the types of what passes."""

    def __init__(self, app, seen):
        self.app, self.seen = app, seen

    async def __call__(self, scope, receive, send):
        async def noting(message):
            self.seen.append(message["type"])
            await send(message)

        await self.app(scope, receive, noting if scope["type"] != "lifespan" else send)


@pytest.fixture
async def house():
    """A socket and a stream, with one that watches inside of `DirectSend` and one outside."""
    app, manager, broker, router = FastAPI(), Manager(), MemoryBroker(), Router()
    add_subscriptions(router, manager, may_subscribe=lambda *_: True)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await Session(websocket=websocket, manager=manager, on_text=router).run()

    @app.get("/events")
    async def events(request: Request):
        return event_stream(request, broker, ["news"], may_subscribe=lambda _: True)

    inside, outside = [], []
    stack = Watching(DirectSend(Watching(app, inside)), outside)
    async with contextlib.AsyncExitStack() as cleanup:
        server = await cleanup.enter_async_context(LiveServer(stack))
        yield server, manager, broker, inside, outside


async def test_messages_pass_outside_alone(house):
    """Accept and close go the usual way, messages the short one."""
    server, manager, _, inside, outside = house
    async with await WebSocketClient.connect(server.ws_url + "/ws") as client:
        await client.send({"type": "subscribe", "topic": "news"})
        assert (await client.receive_json())["type"] == "ok"
        manager.publish("news", encode("news", n=1))
        assert (await client.receive_json())["n"] == 1
        (connection,) = manager
        connection.close(4000, "enough")
        assert (await client.closed()).code == 4000
    assert inside == ["websocket.accept", "websocket.close"]
    assert outside == ["websocket.accept", *["websocket.send"] * 2, "websocket.close"]


async def test_events_pass_outside_alone(house):
    """Headers go the usual way, and so does what wakes the stream up: its opening, its end."""
    server, _, broker, inside, outside = house
    async with await SSEClient.connect(server.url + "/events") as client:
        await until(lambda: len(outside) > 2)  # the headers, and the opening
        before = list(inside)
        for n in range(3):
            await broker.publish("news", str(n))
            assert (await client.next()).data == str(n)
        assert inside == before
        assert outside.count("http.response.body") == before.count("http.response.body") + 3
