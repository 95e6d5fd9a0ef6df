"""A server in a process of its own gets real signals, and never outlives its test."""

# ruff: noqa: PLC0415, T201 - a program for another process imports what it needs, and prints

import os
import signal

import pytest

from labkit.testing.clients import WebSocketClient
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess
from labkit.testing.server import StartupError


def echo(port):
    """Serve one WebSocket endpoint."""
    import uvicorn
    from fastapi import FastAPI, WebSocket

    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    print("about to serve")
    uvicorn.run(app, port=port, log_level="warning")


def greeting():
    """Be a part of another program."""
    return "hello from a part"


def in_parts(port):
    """Use what another function gives."""
    import socket
    import threading

    print(greeting())
    with socket.create_server(("127.0.0.1", port)):
        threading.Event().wait()


def broken(port):
    """End before anything is served."""
    raise RuntimeError("no such table")


def deaf(port):
    """Accept nothing, ever."""
    import threading

    threading.Event().wait()


def stubborn(port):
    """Ignore SIGTERM."""
    import signal
    import socket
    import threading

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", port)):
        threading.Event().wait()


async def test_a_function_is_served_in_a_process_of_its_own():
    """Its source is run there, its output is kept here."""
    async with ServerProcess(echo) as process:
        client = await WebSocketClient.connect(f"{process.ws_url}/ws")
        await client.send("hello")
        assert await client.receive() == "hello"
        assert process.lines == ["about to serve"]
    assert not process.running


async def test_a_program_may_have_parts():
    """They are run before it, so it can call them."""
    async with ServerProcess(in_parts, parts=[greeting]) as process:
        assert process.lines == ["hello from a part"]


async def test_a_signal_ends_it_and_the_exit_code_says_so():
    """What uvicorn does after a clean shutdown: it dies of the signal that it was sent."""
    async with ServerProcess(echo) as process:
        process.signal(signal.SIGTERM)
        assert await process.ended() == -signal.SIGTERM


async def test_a_process_that_does_not_end_is_silence_and_is_killed():
    """The wait has a deadline, and leaving the block leaves nothing."""
    async with ServerProcess(stubborn) as process:
        process.signal(signal.SIGTERM)
        with pytest.raises(Silence, match=r"still runs after 0\.2 s"):
            await process.ended(timeout_s=0.2)
        assert process.running
    assert not process.running


async def test_a_program_that_fails_says_why():
    """The last line of its output is the message."""
    with pytest.raises(StartupError, match="RuntimeError: no such table"):
        await ServerProcess(broken).start()


async def test_a_program_that_never_listens_is_given_up():
    """The start has a deadline."""
    with pytest.raises(StartupError, match="accepts no connection after 1 s"):
        await ServerProcess(deaf, start_timeout_s=1).start()


async def test_arguments_for_python_are_taken_as_they_are():
    """Any command of a module can be run; `{port}` is filled in."""
    async with ServerProcess(["-m", "http.server", "--bind", "127.0.0.1", "{port}"]) as process:
        assert process.running


async def test_started_again_it_keeps_its_port():
    """As a service does that is restarted; one that still runs is killed first."""
    async with ServerProcess(echo) as process:
        port, pid = process.port, process.pid
        await process.start()
        assert (process.port, process.pid == pid) == (port, False)
        async with await WebSocketClient.connect(f"{process.ws_url}/ws") as client:
            await client.send("hello")
            assert await client.receive() == "hello"


def with_a_folder(port):
    """Write into the folder that the environment names, and say what is set."""
    import os
    import socket
    import threading
    from pathlib import Path

    Path(os.environ["LAB_FOLDER"], "mark").touch()
    print(os.environ["LAB_WORD"], bool(os.environ["PATH"]))
    with socket.create_server(("127.0.0.1", port)):
        threading.Event().wait()


async def test_it_has_its_own_variables_and_a_folder_that_goes_with_it():
    """Beside ours, and only there."""
    env = {"LAB_FOLDER": "{folder}", "LAB_WORD": "ada"}
    async with ServerProcess(with_a_folder, env=env) as process:
        assert process.lines == ["ada True"]
        mark = process.folder / "mark"
        assert mark.exists()
    assert not mark.exists()
    assert "LAB_WORD" not in os.environ
