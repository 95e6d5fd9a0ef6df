"""Alive is not ready: what is answered while the service is broken in each way."""

# ruff: noqa: PLC0415 - a program for another process imports what it needs

import asyncio
import signal

import httpx
import pytest
from fastapi import FastAPI

from labkit.connections import Capacity, Drain, DrainSettings
from labkit.monitoring import Health
from labkit.performance.store import Store
from labkit.sse.valkey import ValkeyBroker
from labkit.testing.clients import WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until


async def lights(server):
    """Return the status of liveness, of readiness, and the reasons."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        live, ready = await http.get("/livez"), await http.get("/readyz")
    return live.status_code, ready.status_code, ready.json()["why"]


def served(health):
    app = FastAPI()
    app.include_router(health.router)
    return LiveServer(app)


async def test_a_healthy_process_is_alive_and_ready():
    """Without a reason against it, with checks of both kinds."""

    async def fine():
        return None

    async with served(Health({"sync": lambda: True, "async": fine})) as server:
        assert await lights(server) == (200, 200, [])


async def test_full_and_draining_are_alive_and_not_ready():
    """Nobody restarts such a process, and nobody sends it clients."""
    capacity, drain = Capacity(server=1), Drain(settings=DrainSettings(polite_s=0))
    health = Health({"draining": lambda: drain.ready, "full": lambda: not capacity.full})
    async with served(health) as server:
        with capacity.reserve():
            assert await lights(server) == (200, 503, ["full"])
        await drain.run()
        assert await lights(server) == (200, 503, ["draining"])


async def test_a_broker_that_is_gone_and_comes_back():
    """Its reader and its answers to a ping are two checks; both return by themselves."""
    with ValkeyServer() as valkey:
        broker = ValkeyBroker(valkey.url, backoff=lambda _: 0.02)
        async with broker, Store(valkey.url, timeout_s=0.3) as store:
            checks = {
                "broker": lambda: broker.connected,
                "store": lambda: store.run(lambda redis: redis.ping()),
            }
            async with served(Health(checks)) as server:
                await until(lambda: broker.connected)
                assert await lights(server) == (200, 200, [])
                valkey.kill()
                await until(lambda: not broker.connected)
                gone = ["broker", "store: StoreUnavailableError"]
                assert await lights(server) == (200, 503, gone)
                valkey.start()
                await until(lambda: broker.connected)
                assert await lights(server) == (200, 200, [])


async def test_a_check_that_hangs_is_an_answer_in_time():
    """And the other checks are asked all the same."""
    health = Health({"stuck": asyncio.Event().wait, "full": lambda: False}, timeout_s=0.05)
    async with served(health) as server:
        assert await lights(server) == (200, 503, ["stuck: TimeoutError", "full"])


async def test_an_answer_names_the_kind_of_error_and_nothing_else():
    """An address or a password in its message stays here."""

    def leaks():
        raise ConnectionError("redis://:hunter2@10.0.0.7")

    assert await Health({"store": leaks}).reasons() == ["store: ConnectionError"]


async def test_no_time_is_refused():
    """The message names the field."""
    with pytest.raises(ValueError, match="timeout_s is 0: give seconds"):
        Health({}, timeout_s=0)


def settling(port):
    """Serve with two seconds between readiness going off and the first goodbye."""
    import uvicorn
    from fastapi import FastAPI, WebSocket

    from labkit.architecture import Manager, Router
    from labkit.connections import Drain, DrainingServer, DrainSettings
    from labkit.monitoring import Health
    from labkit.websocket import Session

    app, manager = FastAPI(), Manager()
    drain = Drain(managers=[manager], settings=DrainSettings(settle_s=60, polite_s=1))
    app.include_router(Health({"draining": lambda: drain.ready}).router)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await Session(websocket=websocket, manager=manager, on_text=Router()).run()

    DrainingServer(uvicorn.Config(app, port=port, log_level="warning"), drain).run()


async def test_readiness_goes_off_before_anybody_is_told():
    """After SIGTERM the probe says 503, and connections are open and new ones let in."""
    async with ServerProcess(settling) as process:
        before = await WebSocketClient.connect(f"{process.ws_url}/ws")
        assert await lights(process) == (200, 200, [])
        process.signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            while (answer := await lights(process))[1] == 200:
                await asyncio.sleep(0.02)
        assert answer == (200, 503, ["draining"])
        late = await WebSocketClient.connect(f"{process.ws_url}/ws")
        assert before.open
        assert late.open
        process.signal(signal.SIGTERM)
        assert [(await each.closed()).code for each in (before, late)] == [1012, 1012]
