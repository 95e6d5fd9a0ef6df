"""A place is held as long as its connection, and a refusal reaches whoever it is meant for."""

import asyncio

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket

from labkit.architecture import Manager, Router
from labkit.connections import Capacity, one_slot
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.clients import Closed, Rejected, SSEClient, WebSocketClient
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.websocket import Session


class House:
    """An application with places, on a real server."""

    def __init__(self, **limits):
        self.capacity, self.manager, self.broker = Capacity(**limits), Manager(), MemoryBroker()
        self.tasks = []
        self.app = FastAPI()
        place = [Depends(one_slot(self.capacity, user_of=lambda c: c.query_params.get("user")))]

        @self.app.websocket("/ws", dependencies=place)
        async def ws(websocket: WebSocket):
            self.tasks.append(asyncio.current_task())
            await Session(websocket=websocket, manager=self.manager, on_text=Router()).run()

        @self.app.websocket("/bug", dependencies=place)
        async def bug(websocket: WebSocket):
            await websocket.accept()
            raise KeyError

        @self.app.get("/events", dependencies=place)
        async def events(request: Request):
            return event_stream(request, self.broker, ["news"], may_subscribe=lambda _: True)

        self.server = LiveServer(self.app)

    async def join(self, path="/ws", **options):
        """Return a client that is connected."""
        return await WebSocketClient.connect(self.server.ws_url + path, **options)

    async def empty(self):
        """Wait until every place is free."""
        async with asyncio.timeout(5):
            while self.capacity.in_use:
                await asyncio.sleep(0.005)

    def tracebacks(self):
        """Return what the server logged with a traceback."""
        return [record for record in self.server.log if record.exc_text]


async def test_a_program_reads_503_and_when_to_come_back():
    """Status, Retry-After and a sentence; no traceback, and the registry is untouched."""
    house = House(server=1)
    async with house.server:
        await house.join()
        for _ in range(10):
            with pytest.raises(Rejected) as caught:
                await house.join()
            assert caught.value.status == 503
            assert 5 <= int(caught.value.headers["retry-after"]) <= 10
            assert b"1 connections for one server are the limit" in caught.value.body
        assert len(house.manager) == 1
        assert house.tracebacks() == []


async def test_a_page_in_a_browser_reads_1013():
    """It is let in and closed at once; so its script sees the code and the reason."""
    house = House(server=1)
    async with house.server:
        await house.join()
        page = await house.join(headers={"Origin": "https://example.org"})
        assert await page.closed() == Closed(1013, "1 connections for one server are the limit")
        assert (len(house.manager), house.tracebacks()) == (1, [])


async def test_a_refused_page_gets_one_of_the_subprotocols_it_offers():
    """Without one, Chrome fails the connection before it reads the code."""
    house = House(server=1)
    async with house.server:
        await house.join()
        page = await house.join(
            headers={"Origin": "https://example.org"}, subprotocols=["chat", "other"]
        )
        assert page.subprotocol == "chat"
        assert (await page.closed()).code == 1013


async def test_ones_own_limit_is_429():
    """Too many of one user is not the server's trouble, and the others come in."""
    house = House(server=10, per_user=1)
    async with house.server:
        await house.join("/ws?user=ada")
        with pytest.raises(Rejected) as caught:
            await house.join("/ws?user=ada")
        assert caught.value.status == 429
        await house.join("/ws?user=bob")
        assert house.capacity.refused == {"user": 1}


async def test_a_refused_stream_is_http_and_a_taken_place_is_held_as_long_as_the_stream():
    """The dependency ends when the body does, not when the endpoint returns."""
    house = House(server=1)
    async with house.server, httpx.AsyncClient() as http:
        stream = await SSEClient.connect(f"{house.server.url}/events")
        response = await http.get(f"{house.server.url}/events")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 5
        assert house.capacity.in_use == 1
        await stream.close()
        await house.empty()


@pytest.mark.parametrize("ending", ["close", "reset", "bug", "cancel"])
async def test_every_way_to_leave_gives_the_place_back(ending):
    """A goodbye, a reset, a bug of ours, a cancelled handler."""
    house = House(server=1)
    async with house.server:
        client = await house.join("/bug" if ending == "bug" else "/ws")
        if ending == "close":
            await client.close()
        elif ending == "reset":
            reset(client)
        elif ending == "cancel":
            house.tasks[0].cancel()
        await house.empty()
        if ending != "bug":
            await house.join()


async def test_a_flood_through_a_middleware_that_waits_gets_no_more_places_than_there_are():
    """Sixty at once, ten places, and an `await` where the naive check has its gap."""
    house = House(server=10)

    class Slow:
        """Awaits before each message, as a session store or a tracer does."""

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def slow():
                await asyncio.sleep(0.01)
                return await receive()

            await self.app(scope, slow, send)

    house.app.add_middleware(Slow)
    async with house.server:
        outcomes = await asyncio.gather(*(house.join() for _ in range(60)), return_exceptions=True)
        inside = [each for each in outcomes if isinstance(each, WebSocketClient)]
        assert (len(inside), house.capacity.in_use) == (10, 10)
        assert {each.status for each in outcomes if each not in inside} == {503}
        for client in inside:
            await client.close()
        await house.empty()
