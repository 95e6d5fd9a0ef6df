"""One socket from accept to a close code, on a real server."""

import asyncio
import json
import logging

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Overflow, binary, encode
from labkit.testing.clients import Closed, WebSocketClient
from labkit.testing.faults import StalledReader, reset
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Session


async def test_messages_are_answered_in_order(room):
    """The router's answers come back as they were asked for."""
    async with room() as r:
        client = await r.join()
        for n in range(20):
            await client.send({"type": "ping", "id": str(n)})
        assert [m["ref"] for m in await client.receive_many(20)] == [str(n) for n in range(20)]


async def test_a_polite_close_is_noticed_and_leaves_nothing(room):
    """The registry forgets, the ending tells the client's code, nothing is logged as an error."""
    async with room() as r:
        client = await r.join(topic="news")
        await client.close(1000, "bye")
        await until(lambda: r.endings)
        assert r.endings == [(1000, "bye", "peer")]
        assert (len(r.manager), r.manager.topics) == (0, {})
        assert [e for e in r.server.log if e.levelno >= logging.WARNING] == []


async def test_a_reset_is_noticed_and_leaves_nothing(room):
    """A connection that is torn down ends the session as well."""
    async with room() as r:
        reset(await r.join(topic="news"))
        await until(lambda: r.endings)
        assert (len(r.manager), r.manager.topics) == (0, {})


async def test_a_client_that_leaves_is_noticed_while_a_handler_works(room):
    """Reading never stops, so a long handler does not hide the disconnect, and is cancelled."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def works(connection, text):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with room(on_text=works) as r, asyncio.timeout(5):
        client = await r.join()
        await client.send("go")
        await begun.wait()
        await client.close()
        await cancelled.wait()
        await until(lambda: r.endings)
        assert r.endings[0].by == "peer"


async def test_a_long_handler_does_not_cost_a_healthy_client_its_connection(room):
    """Messages that wait behind a long handler do not keep pongs from being read."""
    gate = asyncio.Event()

    async def waits(connection, text):
        await gate.wait()
        connection.send(encode("done", text=text))

    pings = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.2}
    async with room(on_text=waits, server_options=pings) as r:
        client = await r.join()
        for text in "ab":
            await client.send(text)
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0.6):  # three ping timeouts long
                await until(lambda: r.endings)
        gate.set()
        assert [m["text"] for m in await client.receive_many(2)] == ["a", "b"]


async def test_binary_without_a_handler_closes_with_1003(room):
    """The client learns that text is wanted."""
    async with room() as r:
        client = await r.join()
        await client.send(b"\x00")
        assert await client.closed() == Closed(1003, "text messages only")


async def test_binary_with_a_handler_is_handled(room):
    """Bytes go to their own handler, and bytes can come back."""

    async def on_bytes(connection, data):
        connection.send(binary(data[::-1]))

    async with room(on_bytes=on_bytes) as r:
        client = await r.join()
        await client.send(b"abc")
        assert await client.receive() == b"cba"


async def test_a_bug_in_a_handler_closes_with_1011_and_is_logged(room, caplog):
    """The client gets a close frame, the log a traceback, the others nothing."""

    async def broken(connection, text):
        raise KeyError("bug")

    async with room(on_text=broken) as r:
        client = await r.join()
        await client.send("x")
        assert await client.closed() == Closed(1011, "server error")
        await until(lambda: r.endings)
    errors = [e for e in caplog.records if e.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info


async def test_a_message_that_is_too_big_closes_with_1009(room):
    """The server's limit holds before any of our code sees the message."""
    async with room(server_options={"ws_max_size": 1024}) as r:
        client = await r.join()
        await client.send("x" * 1025)
        assert (await client.closed()).code == 1009


async def test_too_many_messages_at_once_close_with_1008(room, quick):
    """The inbox is bounded: a flood behind a slow handler ends the connection."""

    async def waits(connection, text):
        await asyncio.Event().wait()

    async with room(on_text=waits, limits=quick(inbox_items=5)) as r:
        client = await r.join()
        for _ in range(10):
            await client.send("x")
        assert await client.closed() == Closed(1008, "too many messages at once")


async def test_close_sends_what_was_put_before_it(room):
    """A notice and the close that follows it arrive in this order."""
    async with room() as r:
        client = await r.join()
        r.only.send(encode("shutdown"))
        r.only.close(1012, "restart")
        assert await client.receive_json() == {"type": "shutdown"}
        assert await client.closed() == Closed(1012, "restart")
        await until(lambda: r.endings)
        assert r.endings == [(1012, "restart", "server")]


async def test_a_stalled_reader_is_closed_and_the_others_get_everything(room, quick):
    """Two healthy clients get every message in order; the stalled one leaves with 1013."""
    count, padding = 200, "x" * 50_000
    async with room(limits=quick()) as r:
        url = f"{r.server.ws_url}/ws"
        subscribe = json.dumps({"type": "subscribe", "topic": "news"})
        ada = await r.join("ada", topic="news", max_queue=None)
        eve = await StalledReader.connect(url, name="eve", first_messages=[subscribe])
        bob = await r.join("bob", topic="news", max_queue=None)
        await until(lambda: r.manager.topics == {"news": 3})
        for n in range(count):
            r.manager.publish("news", encode("event", n=n, padding=padding))
            await asyncio.sleep(0)
        for client in (ada, bob):
            assert [m["n"] for m in await client.receive_many(count)] == list(range(count))
        await until(lambda: r.endings)
        assert r.endings == [(1013, "too slow", "server")]
        assert r.manager.topics == {"news": 2}
        eve.close()


async def test_what_a_stalled_reader_costs_is_bounded(room, quick):
    """Under DROP_OLDEST it stays connected, within the bound, and the loss is counted."""
    limits = quick(overflow=Overflow.DROP_OLDEST, outbox_items=8, write_timeout_s=30)
    async with room(limits=limits) as r:
        url = f"{r.server.ws_url}/ws"
        subscribe = json.dumps({"type": "subscribe", "topic": "news"})
        eve = await StalledReader.connect(url, name="eve", first_messages=[subscribe])
        await until(lambda: r.manager.topics == {"news": 1})
        connection = r.only
        async with asyncio.timeout(20):
            while connection.outbox.dropped < 50:
                r.manager.publish("news", encode("event", padding="x" * 50_000))
                assert connection.outbox.waiting <= 8
                await asyncio.sleep(0)
        assert connection.ending is None
        eve.close()
        await until(lambda: r.endings)


async def test_the_server_going_down_ends_the_session(room):
    """A stop is a disconnect with 1012, and the session returns."""
    async with room() as r:
        client = await r.join(topic="news")
    assert (await client.closed()).code == 1012
    assert [ending.code for ending in r.endings] == [1012]
    assert len(r.manager) == 0


async def test_a_cancelled_session_is_forgotten_as_well(room):
    """Whatever ends the endpoint, the registry is clean."""
    async with room() as r:
        await r.join(topic="news")
        (task,) = [t for t in asyncio.all_tasks() if "run_asgi" in repr(t)]
        task.cancel()
        await until(lambda: len(r.manager) == 0)
        assert r.manager.topics == {}


async def test_on_open_comes_first_and_user_is_known(room):
    """A greeting and first subscriptions need no message of the client."""
    async with room(user="ada", on_open=lambda c: c.send(encode("hello", user=c.user))) as r:
        client = await r.join()
        assert await client.receive_json() == {"type": "hello", "user": "ada"}


async def test_a_connection_keeps_the_id_that_was_logged_before(room):
    """Whoever wrote a line before the session began finds the connection under the same id."""
    async with room(log_id="cafe") as here:
        await here.join(topic="news")
        assert here.only.id == "cafe"


async def test_an_endpoint_may_accept_for_itself():
    """A subprotocol is chosen before the session begins."""
    app, manager = FastAPI(), Manager()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept(subprotocol="v1")

        async def echo(connection, text):
            connection.send(encode("echo", text=text))

        await Session(websocket=websocket, manager=manager, on_text=echo).run()

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws", subprotocols=["v1"])
        assert client.subprotocol == "v1"
        await client.send("hi")
        assert (await client.receive_json())["text"] == "hi"


async def test_nothing_is_left_after_churn(room):
    """Fifty connections that come and go in every way leave no task and no entry."""
    async with room() as r:
        before = len(asyncio.all_tasks())
        for n in range(50):
            client = await r.join(topic=f"t{n % 3}")
            if n % 2:
                reset(client)
            else:
                await client.close()
        await until(lambda: len(r.endings) == 50)
        assert (len(r.manager), r.manager.topics) == (0, {})
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_what_overtakes_does_not_wait_for_its_turn(room):
    """A handler can be waiting for it; what is not taken keeps its turn."""
    taken = asyncio.Event()

    def overtakes(connection, message):
        if message == "now":
            taken.set()
        return message == "now"

    async def waits(connection, text):
        await taken.wait()
        connection.send(encode("done", text=text))

    async with room(on_text=waits, overtakes=overtakes) as r:
        client = await r.join()
        for text in ("first", "second", "now"):
            await client.send(text)
        assert [m["text"] for m in await client.receive_many(2)] == ["first", "second"]
