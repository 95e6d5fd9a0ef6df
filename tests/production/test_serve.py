"""`labkit serve` as it is typed: real processes, real signals, and nothing left."""

import contextlib
import os
import signal
import socket
import sys

import psutil
import pytest
import uvicorn

from labkit.production.serve import _listener, uvicorn_options
from labkit.production.settings import load
from labkit.testing.process import ServerProcess
from labkit.testing.waiting import until
from labkit.workbench import cli
from tests.production.conftest import Person, until_type

START_S = 60.0  # of two processes that import everything, on a busy machine
COMMAND = ["-m", "labkit.workbench.cli", "serve", "--port", "{port}"]

pytestmark = pytest.mark.timeout(120)


def served(*options):
    return ServerProcess([*COMMAND, *options], start_timeout_s=START_S)


async def announced(process):
    """Wait until all workers are ready; return the line that says so."""

    def line():
        return [each for each in process.lines if each.startswith("labkit serves")]

    await until(line, timeout_s=START_S)
    return line()


def family(process):
    """Return the workers and the broker of a process."""
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [each for each in children if "spawn_main" in " ".join(each.cmdline())]
    brokers = [each for each in children if "valkey" in each.name()]
    return workers, brokers, children


def gone(processes):
    """Tell whether none of them runs; one that nobody has buried does not."""
    left = []
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            left += [each] * (each.is_running() and each.status() != psutil.STATUS_ZOMBIE)
    return not left


def typed(monkeypatch, *options):
    """Type the command where it cannot start; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["labkit", "serve", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_settings_that_cannot_work_start_nothing(monkeypatch, capsys):
    """Not zero, and one line for each on stderr."""
    monkeypatch.setenv("LABKIT_PORT", "zero")
    monkeypatch.setenv("LABKIT_SECRET", "short and secret")
    assert typed(monkeypatch, "--workers", "0") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "labkit: LABKIT_PORT is 'zero': it must be a valid integer",
        "labkit: LABKIT_WORKERS is 0: it must be greater than or equal to 1",
        "labkit: LABKIT_SECRET cannot be used: it must have 32 bytes or more, at random",
    ]


def test_a_port_that_is_taken_is_told(monkeypatch, capsys):
    """In the same words, before anything has started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert typed(monkeypatch, "--port", port) == 2
    why = "nobody can listen there (Address already in use)"
    assert capsys.readouterr().err == f"labkit: LABKIT_PORT is {port}: {why}\n"


def test_uvicorn_takes_its_part():
    """Each knob is one that it knows; its patience is longer than the drain."""
    settings = load(settle_s=2.5)
    config = uvicorn.Config("labkit.production.app:create_app", **uvicorn_options(settings))
    assert config.ws_max_size == settings.ws_max_bytes
    assert config.timeout_graceful_shutdown > settings.drain.total_s


async def test_two_workers_are_one_service_and_sigterm_leaves_nothing():
    """One line, one broker; both kinds of client are told to come back; no process is left."""
    async with served("--workers", "2") as process, contextlib.AsyncExitStack() as stack:
        assert await announced(process) == [
            f"labkit serves http://127.0.0.1:{process.port} with 2 workers; metrics at /metrics"
        ]
        workers, brokers, children = family(process)
        assert (len(workers), len(brokers)) == (2, 1)
        people = [await Person(process, f"u{n}").login() for n in range(8)]
        for each in people:
            stack.push_async_callback(each.leave)
        sockets = [(await each.room())[0] for each in people]
        streams = [await each.events() for each in people]
        await people[0].say("everyone")
        for one in sockets:
            assert (await until_type(one, "event"))["data"]["text"] == "everyone"
        metrics = (await people[0].http.get("/metrics")).text
        assert 'realtime_connections_active{transport="websocket"} 8.0' in metrics
        process.signal(signal.SIGTERM)
        for one in sockets:
            assert (await until_type(one, "shutdown"))["retry_ms"] >= 0
            assert (await one.closed()).code == 1012
        for stream in streams:
            event = await stream.next()
            while event.event != "goodbye":
                event = await stream.next()
            assert event.retry_ms >= 3000
        assert await process.ended(timeout_s=20) == 0
        await until(lambda: gone(children))


async def test_a_killed_supervisor_takes_all_with_it():
    """Nobody is left without a master."""
    async with served() as process:
        await announced(process)
        _, _, children = family(process)
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: gone(children), timeout_s=20)


def test_small_messages_are_not_delayed():
    """The listener names TCP, as asyncio wants it to be before it sets TCP_NODELAY."""
    with contextlib.closing(_listener(load(port=0))) as listener:
        assert listener.proto == socket.IPPROTO_TCP
