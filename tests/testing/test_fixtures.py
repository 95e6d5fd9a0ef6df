"""The fixtures that a reader takes home, used by tests of their own in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

APP = """
import asyncio, pytest
from labkit.testing.valkey import ValkeyError
from fastapi import FastAPI, WebSocket
from starlette.responses import StreamingResponse
from labkit.testing.fixtures import live_server

registry, tasks, ports = set(), [], set()


def make_app(*, forgets=True, ends=True):
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        registry.add(websocket)
        if not ends:
            tasks.append(asyncio.create_task(asyncio.sleep(60), name="heartbeat"))
        async for text in websocket.iter_text():
            await websocket.send_text(text)
        if forgets:
            registry.discard(websocket)

    @app.get("/events")
    async def events():
        async def stream():
            yield "event: hello\\ndata: 1\\n\\n"
            await asyncio.Event().wait()

        return StreamingResponse(stream(), media_type="text/event-stream")

    return app

"""


TESTS = """
server = live_server(make_app)


async def test_echo(serve, join):
    ada = await join(await serve(make_app(), empty=[registry]), name="ada")
    await ada.send({"type": "pong"})
    assert await ada.receive_until("pong") == [{"type": "pong"}]


async def test_after_echo():
    assert not registry


async def test_stream(serve, listen):
    first = await (await listen(await serve(make_app()))).next()
    assert (first.event, first.data) == ("hello", "1")


async def test_leaky(serve, join):
    await join(await serve(make_app(ends=False)))


async def test_forgetful(serve, join):
    await join(await serve(make_app(forgets=False), empty=[registry]))


@pytest.mark.parametrize("n", [1, 2])
async def test_shared(server, join, n):
    ports.add(server.port)
    await join(server)
    assert len(ports) == 1


def test_valkey_and_clock(valkey, clock):
    valkey.kill()
    valkey.start()
    clock.advance(3600)
    assert (valkey.running, clock()) == (True, 3600.0)


@pytest.fixture
def no_valkey(monkeypatch):
    def missing():
        raise ValkeyError("there is no Valkey here")

    monkeypatch.setattr("labkit.testing.valkey.find_valkey", missing)


def test_without_valkey(no_valkey, valkey):
    pass
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Run all of them in one pytest; return what is said of each, by its name."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n")
    (folder / "conftest.py").write_text('pytest_plugins = ["labkit.testing.fixtures"]\n')
    (folder / "test_reader.py").write_text(APP + TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "anyio", "-p", "no:cacheprovider", "-rA"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    lines = done.stdout.partition("short test summary info")[2].splitlines()
    return lambda name: [line for line in lines if name in line]


def test_a_test_joins_a_served_application(report):
    """`serve` starts it, `join` connects, and all of it is gone when the test has ended."""
    assert report("test_echo") == ["PASSED test_reader.py::test_echo"]
    assert report("test_after_echo") == ["PASSED test_reader.py::test_after_echo"]


def test_a_test_listens_to_a_stream(report):
    """`listen` opens an event stream, which has no end and is left all the same."""
    assert report("test_stream") == ["PASSED test_reader.py::test_stream"]


def test_a_task_that_is_left_fails_its_test(report):
    """The test is green, and what it leaves behind is an error with a name."""
    passed, error = report("test_leaky")
    assert passed.startswith("PASSED")
    assert error.startswith("ERROR")
    assert "1 task · 0 sockets left: task heartbeat" in error


def test_a_registry_that_forgets_nobody_fails_its_test(report):
    """What is named in `empty` must be empty when the clients have left."""
    passed, error = report("test_forgetful")
    assert passed.startswith("PASSED")
    assert "set still holds 1 when its clients have left" in error


def test_many_tests_share_a_live_server(report):
    """One server for a module; each test has clients of its own, and leaves none."""
    assert [line.split()[0] for line in report("test_shared")] == ["PASSED", "PASSED"]


def test_valkey_and_a_clock_are_there(report):
    """A real Valkey that may be killed, and time that moves when told to."""
    assert report("test_valkey_and_clock")[0].startswith("PASSED")


def test_where_there_is_no_valkey_the_test_is_skipped(report):
    """It is said aloud, and it is not a failure."""
    (line,) = report("there is no Valkey here")
    assert line.startswith("SKIPPED")
