"""On a real signal a real process says goodbye to everyone and ends, in time."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from labkit.testing.clients import Closed, SSEClient, WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess

HERE = Path(__file__).parent
OURS = [str(HERE / "serving.py"), "{port}"]
UVICORN = [
    *("-m", "uvicorn", "--factory", "--app-dir", str(HERE), "serving:create_app"),
    *("--port", "{port}", "--log-level", "warning", "--timeout-graceful-shutdown", "6"),
]
WORKERS = [*UVICORN, "--workers", "2"]

pytestmark = pytest.mark.timeout(90)


class Visit:
    """One client of each kind."""

    def __init__(self, process, stack):
        self.process, self.stack = process, stack

    async def arrive(self):
        ws, http = self.process.ws_url, self.process.url
        self.idle = await WebSocketClient.connect(f"{ws}/ws")
        self.busy = await WebSocketClient.connect(f"{ws}/ws")
        await self.busy.send("work")
        self.push = await WebSocketClient.connect(f"{ws}/push")
        self.events = await self.stack.enter_async_context(
            await SSEClient.connect(f"{http}/events")
        )
        self.plain = await self.stack.enter_async_context(await SSEClient.connect(f"{http}/plain"))
        await self.plain.next()
        await self.said("busy handler", "busy push", "busy plain")

    async def stall(self):
        self.stalled = await StalledReader.connect(
            f"{self.process.ws_url}/ws", first_messages=["flood"]
        )
        self.stack.callback(self.stalled.close)
        await self.said("stalled")

    async def said(self, *lines):
        async with asyncio.timeout(20):
            while not set(lines) <= set(self.process.lines):
                await asyncio.sleep(0.02)

    async def check_goodbyes(self):
        for client in (self.idle, self.busy):
            assert (await client.receive_json())["type"] == "shutdown"
            assert (await client.closed()).code == 1012
        goodbye = await self.events.next()
        assert (goodbye.event, goodbye.retry_ms is not None) == ("goodbye", True)
        assert await self.events.closed()
        assert (await self.push.closed()).code == 1012
        assert await self.plain.closed()


@pytest.fixture
async def visit():
    """Return a function that starts a process and sends one client of each kind there."""
    async with AsyncExitStack() as stack:

        async def start(arguments):
            process = await stack.enter_async_context(ServerProcess(arguments))
            return Visit(process, stack)

        yield start


async def test_our_server_says_goodbye_and_ends(visit):
    """Notice, code and clean end for each kind, every `finally`, and a lifespan with nobody."""
    v = await visit(OURS)
    await v.arrive()
    v.process.signal(signal.SIGTERM)
    await v.check_goodbyes()
    assert await v.process.ended() == -signal.SIGTERM
    lines = v.process.lines
    assert {"cleaned handler", "cleaned push", "cleaned plain"} <= set(lines)
    assert lines[-1] == "lifespan: 0 left; Drained(told=3, cancelled=2, left=0)"


async def test_a_stalled_client_does_not_hold_our_server(visit):
    """It is cut when its time is over; the process ends, and reports nothing but that."""
    v = await visit(OURS)
    await v.arrive()
    await v.stall()
    v.process.signal(signal.SIGTERM)
    await v.check_goodbyes()
    await v.process.ended()
    assert v.process.lines[-1].startswith("lifespan: 0 left; Drained(told=4,")


async def test_nobody_is_told_before_readiness_has_settled(visit):
    """Not even by sse-starlette, which watches for the signal on its own."""
    v = await visit([*OURS, "30"])
    await v.arrive()
    v.process.signal(signal.SIGTERM)
    async with httpx.AsyncClient() as http, asyncio.timeout(20):
        while (await http.get(f"{v.process.url}/ready")).json():
            await asyncio.sleep(0.02)
    with pytest.raises(Silence):
        await v.events.next(timeout_s=1)
    assert v.idle.open
    v.process.signal(signal.SIGTERM)
    assert await v.process.ended() == -signal.SIGTERM


async def test_a_stream_of_sse_starlette_that_no_broker_knows_ends_by_itself(visit):
    """It is left to the library as soon as everybody else has been told."""
    v = await visit(OURS)
    async with await SSEClient.connect(f"{v.process.url}/foreign") as stream:
        await stream.next()
        v.process.signal(signal.SIGTERM)
        await stream.closed()
    await v.process.ended()
    assert v.process.lines[-1] == "lifespan: 0 left; Drained(told=0, cancelled=0, left=0)"


async def test_a_second_signal_ends_it_at_once(visit):
    """No waiting, no lifespan: whoever asks twice means it."""
    v = await visit(OURS)
    await v.arrive()
    v.process.signal(signal.SIGTERM)
    assert (await v.idle.closed()).code == 1012
    v.process.signal(signal.SIGTERM)
    assert await v.process.ended() == -signal.SIGTERM
    assert not [line for line in v.process.lines if line.startswith("lifespan")]


async def test_a_stock_uvicorn_drains_through_the_lifespan(visit):
    """The handler installed at startup comes before uvicorn's own."""
    v = await visit(UVICORN)
    await v.arrive()
    v.process.signal(signal.SIGTERM)
    await v.check_goodbyes()
    await v.process.ended()
    assert v.process.lines[-1].startswith("lifespan: 0 left; Drained(told=3,")


async def test_a_stalled_client_holds_a_stock_uvicorn_until_its_own_timeout(visit):
    """No application can cut a transport: `--timeout-graceful-shutdown` has to."""
    v = await visit(UVICORN)
    await v.arrive()
    await v.stall()
    v.process.signal(signal.SIGTERM)
    await v.check_goodbyes()
    await v.process.ended(timeout_s=20)
    assert "timeout graceful shutdown exceeded" in "".join(v.process.lines)


async def test_several_workers_drain_each_by_itself(visit):
    """`uvicorn --workers 2`: clients of both workers are told, both end, the parent ends."""
    v = await visit(WORKERS)
    clients, workers = [], set()
    async with httpx.AsyncClient(headers={"connection": "close"}) as http, asyncio.timeout(30):
        while len(workers) < 2:
            workers.add((await http.get(f"{v.process.url}/pid")).json())
    await v.arrive()
    clients = [await WebSocketClient.connect(f"{v.process.ws_url}/ws") for _ in range(20)]
    v.process.signal(signal.SIGTERM)
    await v.check_goodbyes()
    for client in clients:
        assert (await client.receive_json())["type"] == "shutdown"
        assert (await client.closed()).code == 1012
    await v.process.ended(timeout_s=20)
    ends = [line for line in v.process.lines if line.startswith("lifespan")]
    assert len(ends) == 2
    assert all(" 0 left;" in line for line in ends)


async def test_a_second_signal_ends_a_stock_uvicorn_at_once(visit):
    """By the signal's default action."""
    v = await visit(UVICORN)
    await v.arrive()
    v.process.signal(signal.SIGINT)
    assert (await v.idle.closed()) in {Closed(1012, "restart"), Closed(1012, "")}
    v.process.signal(signal.SIGINT)
    assert await v.process.ended() == -signal.SIGINT
