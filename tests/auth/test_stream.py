"""An event stream ends with the credentials that opened it, and borrows nothing meanwhile."""

import asyncio
import json

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request

from labkit.auth import Access, Action, Gate, Identity, Live, bearer, guarded_stream
from labkit.sse import MemoryBroker
from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until


async def goodbye(client):
    """Return the reason that the stream gave, and whether it ended as it should."""
    event = await client.next()
    assert event.event == "goodbye"
    return json.loads(event.data)["reason"], await client.closed()


async def test_a_stream_ends_when_its_token_ends(service):
    """What was published before is delivered, then goodbye, then the end; coming back is 401."""
    async with service() as lab:
        token = lab.token("ada", 60)
        client = await lab.listen(token)
        await until(lambda: len(lab.live) == 1)
        await lab.broker.publish("news", "one")
        lab.clock.advance(61)
        lab.live.sweep()
        assert (await client.next()).data == "one"
        assert await goodbye(client) == ("expired", True)
        await until(lambda: len(lab.live) == len(lab.broker.subscriptions) == 0)
        again = await lab.listen(token)
        assert again.status == 401
        assert 'error="invalid_token"' in again.headers["www-authenticate"]


@pytest.mark.parametrize("what", ["token", "user"])
async def test_a_withdrawn_stream_ends_at_once(service, what):
    """By token and by user; Eve's stream goes on."""
    async with service() as lab:
        token = lab.token("ada")
        ada, eve = await lab.listen(token), await lab.listen(lab.token("eve"), name="eve")
        await until(lambda: len(lab.live) == 2)
        if what == "token":
            lab.live.revoke_token(lab.tokens.verify(token).token_id)
        else:
            lab.live.revoke_user("ada")
        assert await goodbye(ada) == ("revoked", True)
        await lab.broker.publish("news", "still here")
        assert (await eve.next()).data == "still here"


async def test_a_withdrawn_permission_ends_the_stream(service):
    """Withdrawing asks every stream again."""
    async with service() as lab:
        lab.access.allow("eve", Action.LISTEN, "desk")
        eve = await lab.listen(lab.token("eve"), "desk")
        await until(lambda: len(lab.live) == 1)
        lab.access.withdraw("eve", Action.LISTEN, "desk")
        assert await goodbye(eve) == ("forbidden", True)
        assert (await lab.listen(lab.token("eve"), "desk")).status == 403
        assert lab.access.denied == {Action.LISTEN: 1}


async def test_a_stream_is_of_the_user_not_of_the_path(service):
    """Bob cannot open Ada's mail, and what is Ada's comes to Ada, whole."""
    async with service() as lab:
        bob = await lab.listen(lab.token("bob"), "user:ada:mail")
        assert bob.status == 403
        bob, ada = await lab.listen(lab.token("bob"), "mine"), await lab.listen(lab.token(), "mine")
        await until(lambda: len(lab.live) == 2)
        for n in range(6):
            await lab.broker.publish("user:ada:mail", str(n))
        assert [event.data for event in await ada.take(6)] == list("012345")
        await lab.broker.publish("user:bob:mail", "for bob")
        assert (await bob.next()).data == "for bob"


async def test_a_token_withdrawn_while_the_broker_is_asked_ends_the_stream(service):
    """Between the check and the subscription there is an await; nothing slips through it."""
    async with service() as lab:
        subscribe, gate = lab.broker.subscribe, asyncio.Event()

        async def slow(*args, **options):
            await gate.wait()
            return await subscribe(*args, **options)

        lab.broker.subscribe = slow
        opening = asyncio.create_task(lab.listen(lab.token()))
        await until(lambda: len(lab.live) == 1)
        lab.live.revoke_user("ada")
        gate.set()
        assert await goodbye(await opening) == ("revoked", True)


async def test_the_response_is_one_to_an_endpoint():
    """Its headers can be set, and a background task runs after the stream."""
    live, access, ran, app = Live(), Access(), asyncio.Event(), FastAPI()
    access.allow("ada", Action.LISTEN, "news")
    broker = MemoryBroker()
    ada = Identity(user="ada", token_id="t", issued_at=0, expires_at=4e9)

    @app.get("/events")
    async def events(request: Request, tasks: BackgroundTasks):
        tasks.add_task(ran.set)
        response = guarded_stream(request, broker, ["news"], identity=ada, live=live, access=access)
        response.headers["x-extra"] = "1"
        return response

    async with LiveServer(app) as server:
        async with await SSEClient.connect(f"{server.url}/events") as client:
            assert client.headers["x-extra"] == "1"
            assert client.headers["content-type"].startswith("text/event-stream")
            await until(lambda: len(live) == 1)
            live.revoke_user("ada")
            assert await client.closed()
        async with asyncio.timeout(5):
            await ran.wait()


async def test_twenty_streams_leave_a_pool_of_two_free():
    """Authentication borrows a row for as long as it needs; a GET is still answered."""
    pool, live, access, app = asyncio.Semaphore(2), Live(), Access(), FastAPI()
    access.allow(None, Action.LISTEN, "news")
    gate, broker = Gate(live), MemoryBroker()

    async def verify(token):
        async with pool:
            await asyncio.sleep(0)
            return Identity(user=token, token_id="t", issued_at=0, expires_at=4e9)

    @app.get("/events")
    async def events(request: Request):
        identity = await gate.http(bearer(request), verify)
        return guarded_stream(
            request, broker, ["news"], identity=identity, live=live, access=access
        )

    @app.get("/me")
    async def me(request: Request):
        return {"user": (await gate.http(bearer(request), verify)).user}

    async with LiveServer(app) as server, httpx.AsyncClient(trust_env=False) as http:
        headers = {"authorization": "Bearer ada"}
        streams = [
            await SSEClient.connect(f"{server.url}/events", headers=headers) for _ in range(20)
        ]
        await until(lambda: len(live) == 20)
        answer = await http.get(f"{server.url}/me", headers=headers, timeout=2)
        assert (answer.status_code, answer.json()) == (200, {"user": "ada"})
        for stream in streams:
            await stream.close()
