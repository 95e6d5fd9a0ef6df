"""Scenes tell what several clients saw, in words that are the same on every run."""

import asyncio

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from labkit.sse import Event, encode
from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.scenes import Heard, flood, received


@pytest.fixture
async def server():
    """Serve `/count/N` (N numbered messages, then close 1013) and `/wait` (nothing)."""
    app = FastAPI()

    @app.websocket("/count/{count}")
    async def counting(websocket: WebSocket, count: int):
        await websocket.accept()
        for n in range(count):
            await websocket.send_json({"n": n})
        await websocket.receive_text()
        await websocket.close(1013, "too slow")

    @app.get("/stream")
    async def stream():
        return StreamingResponse(iter([encode(Event("hello"))]), media_type="text/event-stream")

    async with LiveServer(app) as server:
        yield server


async def join(server, path, name):
    return await WebSocketClient.connect(server.ws_url + path, name=name)


async def test_everyone_who_got_everything_is_in_order(server):
    """The line names each client and what it has."""
    async with await join(server, "/count/3", "ada") as ada:
        audience = await received(ada, expected=3)
        assert repr(audience) == "ada 3 in order"
        assert audience["ada"].complete


async def test_who_got_less_has_stopped_early(server):
    """The number that arrived varies, so it is not told."""
    async with (
        await join(server, "/count/2", "ada") as ada,
        await join(server, "/count/0", "bob") as bob,
    ):
        audience = await received(ada, bob, expected=3, patience_s=0.1)
    assert repr(audience) == "ada stopped early · bob nothing"
    assert not audience["ada"].complete


async def test_an_end_is_told_with_its_code(server):
    """A close frame and a stream that ended are part of what a client saw."""
    async with await join(server, "/count/1", "ada") as ada:
        await ada.send("go")
        audience = await received(ada)
        assert repr(audience) == "ada 1, closed 1013 too slow"
    async with await SSEClient.connect(f"{server.url}/stream", name="eve") as eve:
        audience = await received(eve)
    assert repr(audience) == "eve 1, the stream ended"
    assert audience["eve"].messages == ["hello"]


def test_out_of_order_is_not_complete():
    """Having all is not enough."""
    assert not Heard("ada", [{"n": 2}, {"n": 1}], expected=2).complete
    assert Heard("ada", [{"n": 1}, {"n": 2}], expected=2).complete


async def test_a_publisher_that_gets_through_has_published():
    """Plain functions and coroutine functions alike."""
    seen = []

    async def publish(n):
        seen.append(n)

    for each in (seen.append, publish):
        seen.clear()
        assert repr(await flood(each, count=5)) == "5 published"
        assert seen == [0, 1, 2, 3, 4]


async def test_a_publisher_that_waits_for_ever_is_stuck_and_can_be_ended():
    """It is left as it is, so that the lesson can look at it."""

    async def publish(n):
        if n == 2:
            await asyncio.Event().wait()

    attack = await flood(publish, count=5, stuck_after_s=0.05)
    assert repr(attack) == "the publisher is stuck"
    assert not attack.task.done()
    await attack.aclose()
    assert attack.task.cancelled()


async def test_a_publisher_that_fails_raises():
    """A mistake in the lesson's own code is not taken for a verdict."""
    with pytest.raises(ZeroDivisionError):
        await flood(lambda n: 1 // (n - 1))
