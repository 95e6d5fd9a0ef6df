"""The reference application in real processes: what chapter 12 shows of it."""

import asyncio
import signal

import pytest

from labkit.production.app import create_app
from labkit.production.settings import load
from labkit.testing.process import ServerProcess
from labkit.testing.proxies import Caddy
from labkit.testing.server import StartupError
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until
from labkit.workbench.reference import (
    follow,
    http_status,
    listen,
    numbers,
    reference,
    reference_target,
    say,
    serve_reference,
    texts,
)


@pytest.fixture(scope="module")
def valkey():
    """Start a broker for all tests of this module."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
async def target(valkey):
    """Start two workers for all tests of this module."""
    one, other = reference(valkey), reference(valkey)
    async with one, other:
        yield reference_target(one, other, valkey)


@pytest.fixture(scope="module")
def anyio_backend():
    """Keep one event loop for the module's workers."""
    return "asyncio"


async def test_settings_that_cannot_work_end_the_start_and_are_all_named():
    """The process ends before anything is served; its last line names the last of them."""
    env = {"LABKIT_MAX_CONNECTIONS": "zero", "LABKIT_PING_INTERVAL_S": "-5"}
    process = ServerProcess(serve_reference, env=env)
    with pytest.raises(StartupError) as caught:
        await process.start()
    assert "LABKIT_PING_INTERVAL_S is '-5'" in str(caught.value)


def test_settings_are_handed_in():
    """Nothing reads the environment but `load`, and what it returns cannot be changed."""
    settings = load(max_connections=50)
    app = create_app(settings)
    assert app.state.service.settings is settings
    with pytest.raises(ValueError, match="frozen"):
        settings.max_connections = 51


async def test_what_one_worker_says_the_other_s_clients_hear(target):
    """Over an event stream, at both."""
    async with (
        await listen(target, target.process.url) as here,
        await listen(target, target.sibling.url) as there,
    ):
        await say(target, "hello")
        assert [(await texts(each, 1))[0] for each in (here, there)] == [["hello"], ["hello"]]


async def test_a_client_resumes_at_the_other_worker(target):
    """Forty of forty, each once, in order."""
    async with await listen(target, target.process.url) as client:
        await say(target, *numbers(40))
        ten, last_id = await texts(client, 10)
    async with await listen(target, target.sibling.url, last_event_id=last_id) as client:
        rest, _ = await texts(client, 30)
    assert ten + rest == numbers(40)


async def test_an_outage_is_told_and_everyone_hears_again(target):
    """Alive and not ready without a broker; a gap comes before the next message."""
    async with await listen(target, target.sibling.url) as client:
        target.valkey.kill()
        assert await http_status(target.sibling.url + "/livez") == 200
        assert await http_status(target.sibling.url + "/readyz") == 503
        await asyncio.to_thread(target.valkey.start)
        await say(target, "back")
        assert (await texts(client, 2))[0] == ["(gap)", "back"]


async def test_a_rolling_restart_loses_nothing(target):
    """Ten clients behind a proxy, forty messages, and a real SIGTERM in the middle."""

    async def deploy():
        target.process.signal(signal.SIGTERM)
        await target.process.ended()
        await target.process.start()

    opened = []
    async with (
        Caddy(target.process.port, target.sibling.port, ready_path="/readyz") as proxy,
        asyncio.TaskGroup() as group,
    ):
        followers = [
            group.create_task(follow(target, proxy.url, f"user{n}", 40, opened)) for n in range(10)
        ]
        await until(lambda: len(opened) == 10, timeout_s=20)
        group.create_task(deploy())
        await say(target, *numbers(40), url=proxy.url, pause_s=0.02)
    assert [each.result() for each in followers] == [numbers(40)] * 10
