"""Past the frames: an endpoint returns, and its connection goes on, on a real server."""

import asyncio
import contextlib
import json

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from starlette.requests import Request

from labkit.architecture import Manager, Router, add_subscriptions, encode
from labkit.performance import HandedOver, Handover, hand_over
from labkit.sse import BrokerUnavailableError, MemoryBroker, event_stream
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Session


class House:
    """An endpoint of each kind, with a dependency that tells how many of them are in use."""

    def __init__(self):
        self.app, self.manager, self.broker = FastAPI(), Manager(), MemoryBroker()
        self.inside, self.ran, self.fails = 0, [], None
        router = Router()
        add_subscriptions(router, self.manager, may_subscribe=lambda *_: True)

        async def borrowed():
            self.inside += 1
            yield
            self.inside -= 1
            if self.fails is not None:
                raise self.fails

        async def converse(websocket):
            await Session(websocket=websocket, manager=self.manager, on_text=router).run()

        @self.app.websocket("/ws", dependencies=[Depends(borrowed)])
        async def endpoint(websocket: WebSocket, *, welcome: bool = True):
            if welcome:
                await hand_over(websocket, converse)
            else:
                await websocket.close()

        @self.app.websocket("/accepted")
        async def accepted(websocket: WebSocket):
            await websocket.accept()
            await hand_over(websocket, converse)

        @self.app.get("/events", dependencies=[Depends(borrowed)])
        async def events(request: Request, tasks: BackgroundTasks, topic: str):
            tasks.add_task(lambda: self.ran.append(len(self.broker.subscriptions)))
            allowed = event_stream(
                request, self.broker, [topic], may_subscribe=lambda topic: topic == "news"
            )
            response = HandedOver(allowed)
            response.headers["x-extra"] = "1"
            return response


@pytest.fixture
def house():
    """One that nobody serves yet."""
    return House()


@contextlib.asynccontextmanager
async def serving(house, around=Handover):
    """Serve it; find that no task is left of its connections."""
    async with LiveServer(around(house.app)) as server:
        before = asyncio.all_tasks()
        yield server
        host = {"_shutdown_watcher"}  # of sse-starlette: one, for good
        await until(
            lambda: not {t.get_coro().__qualname__ for t in asyncio.all_tasks() - before} - host
        )


@pytest.mark.parametrize(("around", "inside"), [(Handover, 0), (lambda app: app, 1)])
async def test_a_socket_outlives_its_endpoint(house, around, inside):
    """What the endpoint held is given back; without the middleware, when the socket ends."""
    async with serving(house, around) as server:
        async with await WebSocketClient.connect(server.ws_url + "/ws") as client:
            await client.send({"type": "subscribe", "topic": "news"})
            assert (await client.receive_json())["type"] == "ok"
            assert house.inside == inside
            house.manager.publish("news", encode("news", n=1))
            assert (await client.receive_json())["n"] == 1
            (connection,) = house.manager
            connection.close(4000, "enough")
            assert (await client.closed()).code == 4000
        async with await WebSocketClient.connect(server.ws_url + "/ws") as client:
            await until(lambda: len(house.manager) == 1)
            client.abort()
            await until(lambda: len(house.manager) == 0)
        await until(lambda: house.inside == 0)


async def test_an_endpoint_refuses_as_ever(house):
    """A close before the accept is 403, and a failure behind the endpoint is no conversation."""
    async with serving(house) as server, httpx.AsyncClient(trust_env=False) as http:
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        upgrade["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        refused = await http.get(f"{server.url}/ws?welcome=false", headers=upgrade)
        assert refused.status_code == 403
        house.fails = OSError("the pool is gone")
        assert (await http.get(f"{server.url}/ws", headers=upgrade)).status_code == 500
        assert len(house.manager) == 0


async def test_what_is_accepted_cannot_be_handed_over(house):
    """Its state would be lost: the endpoint fails where it stands."""
    async with serving(house) as server:
        async with await WebSocketClient.connect(server.ws_url + "/accepted") as client:
            await client.closed()
        assert any("before it is accepted" in (r.exc_text or "") for r in server.log)


@pytest.mark.parametrize(("around", "inside"), [(Handover, 0), (lambda app: app, 1)])
async def test_a_stream_outlives_its_endpoint(house, around, inside):
    """It ends from either side; headers and background tasks are the endpoint's."""
    async with serving(house, around) as server:
        url = server.url + "/events?topic=news"
        async with await SSEClient.connect(url) as client:
            await until(lambda: client.last_event_id)
            assert (client.headers["x-extra"], house.inside, house.ran) == ("1", inside, [])
            await house.broker.publish("news", "1")
            assert (await client.next()).data == "1"
            for subscription in house.broker.subscriptions:
                subscription.end("expired")
            assert json.loads((await client.next()).data) == {"reason": "expired"}
            assert await client.closed()
        async with await SSEClient.connect(url) as client:
            await until(lambda: client.last_event_id)
            client.abort()
            await until(lambda: len(house.broker.subscriptions) == 0)
        await until(lambda: len(house.ran) == 2)
        assert [record for record in server.log if record.levelname == "ERROR"] == []


async def test_a_stream_of_a_server_that_stops_says_goodbye(house):
    """Handed over or not."""
    async with (
        LiveServer(Handover(house.app)) as server,
        await SSEClient.connect(server.url + "/events?topic=news") as client,
    ):
        await server.stop()
        assert (await client.next()).event == "goodbye"
        assert await client.closed()


async def test_a_stream_that_is_refused_does_not_begin(house, monkeypatch):
    """By its endpoint, by a dependency that leaves, or by the stream itself."""
    async with serving(house) as server, httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/events?topic=secrets")).status_code == 403
        house.fails = HTTPException(402)
        assert (await http.get("/events?topic=news")).status_code == 402
        house.fails = None

        async def subscribe(*_, **__):
            raise BrokerUnavailableError("down")

        monkeypatch.setattr(house.broker, "subscribe", subscribe)
        down = await http.get("/events?topic=news")
        assert (down.status_code, down.headers["retry-after"]) == (503, "3")
        assert "try again later" in down.json()["detail"]
        assert len(house.broker.subscriptions) == 0


async def test_a_middleware_that_insists_on_an_answer_has_no_place_inside(house):
    """`BaseHTTPMiddleware` fails when an endpoint returns without one: no stream begins."""

    @house.app.middleware("http")
    async def passes(request, call_next):
        return await call_next(request)

    async with serving(house) as server, httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/events?topic=news")).status_code == 500
        assert len(house.broker.subscriptions) == 0
