"""What ends streams from outside, without a server."""

import asyncio
import contextlib

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from sse_starlette.sse import AppStatus

from labkit.sse import MemoryBroker, event_stream
from labkit.sse.leaving import Leaving, Shutdown
from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until


async def never():
    """Receive nothing."""
    await asyncio.Event().wait()


@pytest.fixture
def stopping():
    """A server that stops, as far as sse-starlette knows."""
    AppStatus.should_exit = True
    yield
    AppStatus.should_exit = False


async def test_who_leaves_has_a_grace_and_then_no_error():
    """What is inside is told at once, and cancelled when the grace is over."""
    ended = []

    async def receive():
        return {"type": "http.disconnect"}

    async with asyncio.timeout(5), Leaving(receive, lambda: ended.append(1), 0.01):
        await never()
    assert ended == [1]


async def test_an_error_inside_stays_an_error():
    """Also one that looks like the end of the grace."""
    with pytest.raises(TimeoutError, match="of a send"):
        async with Leaving(never, lambda: None, 5):
            raise TimeoutError("of a send")


async def test_a_receive_that_fails_is_a_client_that_left():
    """The stream ends; asyncio logs the error, since nobody asked for the task's result."""
    ended = asyncio.Event()

    async def receive():
        raise OSError("gone")

    async with asyncio.timeout(5), Leaving(receive, ended.set, 5):
        await ended.wait()


@pytest.mark.usefixtures("stopping")
async def test_a_stream_of_a_stopping_server_leaves_at_once():
    """Each of them, however late it comes."""
    for _ in range(2):
        ended = asyncio.Event()
        async with asyncio.timeout(5), Leaving(never, ended.set, 5):
            await ended.wait()


async def test_one_task_asks_for_all_and_goes_with_the_last():
    """Whichever of them came first."""
    shutdown = Shutdown.of(asyncio.get_running_loop())
    async with Leaving(never, lambda: None, 5):
        asking = shutdown._task
        async with Leaving(never, lambda: None, 5):
            assert shutdown._task is asking
        assert shutdown._task is asking
    assert shutdown._task is None
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert asking.cancelled()


async def test_a_stream_has_two_tasks_and_leaves_none():
    """Its request's, and one that waits for the client; for all streams, one asks for the server's.

    A background task of the response runs when the stream has ended, and no earlier.
    """
    app, broker, ran = FastAPI(), MemoryBroker(), []

    @app.get("/events")
    async def events(request: Request, tasks: BackgroundTasks):
        tasks.add_task(lambda: ran.append(len(broker.subscriptions)))
        return event_stream(request, broker, ["news"], may_subscribe=bool)

    def names():
        return sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks() - before)

    async with LiveServer(app) as server:
        before = asyncio.all_tasks()
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(3):
                client = SSEClient.connect(server.url + "/events")
                await clients.enter_async_context(await client)
            await until(lambda: len(broker.subscriptions) == 3)
            streams = [name for name in names() if "run_asgi" in name or "_disconnected" in name]
            assert len(streams) == 6
            assert names().count("Shutdown._wait") == 1
            assert ran == []
        await until(lambda: len(broker.subscriptions) == 0)
        await until(lambda: not {"Shutdown._wait", "_disconnected"} & set(names()))
        assert len(ran) == 3
