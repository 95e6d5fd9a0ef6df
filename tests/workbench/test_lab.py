"""The lab of a notebook: in plain asyncio, and in a real kernel as a reader uses it."""

from __future__ import annotations

import asyncio
import socket
import sys

import httpx
import pytest
import redis
from fastapi import FastAPI, WebSocket
from sse_starlette import EventSourceResponse

from labkit.testing.clients import Closed, Unreachable, WebSocketClient
from labkit.testing.kernels import RealKernel
from labkit.testing.valkey import ValkeyError
from labkit.workbench.lab import Lab

APP = """
import asyncio, time
from fastapi import FastAPI, WebSocket
from labkit.workbench.kernel import sh
from labkit.workbench.lab import Lab
app = FastAPI()

@app.get("/")
async def root():
    print("the handler speaks", flush=True)
    return "here"

@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        print("the socket hears", text, flush=True)
        await websocket.send_text(text)
"""


@pytest.fixture
def app():
    """Give an application with a WebSocket and an event stream."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @app.get("/events")
    async def events() -> EventSourceResponse:
        async def one():
            yield {"data": "one"}
            await asyncio.Event().wait()

        return EventSourceResponse(one())

    return app


@pytest.fixture
async def open_lab():
    """Give a way to open a lab that is closed when the test ends."""
    yield lambda: Lab.start(chapter=1)
    await (await Lab.start(chapter=1)).close()


async def test_a_lab_that_was_used_leaves_nothing(open_lab, app):
    """Server, clients, streams, a stalled reader, a task and Valkey are all gone after close."""
    lab = await open_lab()
    server = await lab.serve(app)
    ada, bob = await lab.join(server, "/ws", "ada", "bob")
    await ada.send("hello")
    assert await ada.receive() == "hello"
    stream = await lab.listen(server, "/events", "eve")
    await stream.next()
    await lab.stall(server, "/ws", "mallory", first_messages=["x"])
    await lab.stall_stream(server, "/events")
    lab.track(asyncio.create_task(asyncio.Event().wait()))
    valkey = lab.valkey()
    assert repr(lab) == "Lab of chapter 1: server, valkey"
    assert repr(await lab.close()) == "0 servers · 0 tasks · 0 sockets left"
    assert [server.running, valkey.running, bob.open] == [False] * 3
    assert repr(lab) == "Lab of chapter 1: nothing runs"


async def test_what_is_left_is_named(open_lab, app):
    """A task, a listening socket and a connection that the lesson forgot are named."""
    lab = await open_lab()
    server = await lab.serve(app)

    async def forgotten():
        await asyncio.Event().wait()

    task = asyncio.create_task(forgotten())
    listener = socket.create_server(("127.0.0.1", 0))
    connection = socket.create_connection(("127.0.0.1", server.port))
    left = await lab.close()
    task.cancel()
    listener.close()
    connection.close()
    assert left
    assert repr(left) == (
        "0 servers · 1 task · 2 sockets left: "
        "task test_what_is_left_is_named.<locals>.forgotten, listening socket, socket of server"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists children")
async def test_a_process_that_is_left_is_named(open_lab):
    """A child process that the lesson forgot is named."""
    lab = await open_lab()
    process = await asyncio.create_subprocess_exec("sleep", "600")
    left = await lab.close()
    process.kill()
    await process.wait()
    assert repr(left) == "0 servers · 0 tasks · 0 sockets · 1 process left: sleep"


async def test_a_task_that_refuses_to_end_is_named(open_lab, monkeypatch):
    """A tracked task that swallows its cancellation does not hold up the close and is named."""
    lab = await open_lab()
    monkeypatch.setattr("labkit.workbench.lab.END_TIMEOUT_S", 0.1)
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = lab.track(asyncio.create_task(stubborn()))
    await asyncio.sleep(0)
    left = await lab.close()
    release.set()
    await task
    assert [name.rpartition(".")[2] for name in left.tasks] == ["stubborn"]


async def test_a_second_lab_closes_the_first(open_lab, app):
    """Running the first cell again starts from nothing."""
    lab = await open_lab()
    server = await lab.serve(app)
    again = await Lab.start(chapter=1)
    assert not server.running
    assert repr(await again.close()) == "0 servers · 0 tasks · 0 sockets left"


async def test_a_server_of_the_same_name_is_replaced(open_lab, app):
    """Serving again under a name stops the server that had it; other names stay."""
    lab = await open_lab()
    first = await lab.serve(app)
    other = await lab.serve(app, name="other")
    second = await lab.serve(app)
    assert (first.running, other.running, second.running) == (False, True, True)
    assert repr(lab) == "Lab of chapter 1: other, server"


async def test_clients_of_the_same_name_are_replaced(open_lab, app):
    """Joining again by the same name, as a cell that is run twice does, leaves one of each."""
    lab = await open_lab()
    server = await lab.serve(app)
    first, _ = await lab.join(server, "/ws", "ada", "bob")
    (second,) = await lab.join(server, "/ws", "ada")
    assert await first.closed() == Closed(1000)
    assert second.open
    async with asyncio.timeout(5):
        while server.connections != 2:
            await asyncio.sleep(0.01)


async def test_the_wire_sees_what_is_served(open_lab, app):
    """Every app that the lab serves is tapped, with the clients' names."""
    lab = await open_lab()
    server = await lab.serve(app, name="chat")
    (ada,) = await lab.join(server, "/ws", "ada")
    await ada.send("hello")
    await ada.receive()
    assert ("ada", "chat") in {(frame.source, frame.target) for frame in lab.wire.frames}


async def test_valkey_starts_anew_on_its_old_port(open_lab):
    """Asking for Valkey again gives an empty one under the same address."""
    lab = await open_lab()
    valkey = lab.valkey()
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
        url = valkey.url
        assert lab.valkey() is valkey
        assert valkey.url == url
        assert client.get("key") is None


async def test_a_valkey_that_cannot_start_leaves_the_lab_usable(open_lab, monkeypatch):
    """Without Valkey the error is clear and the lab still closes."""
    lab = await open_lab()

    def missing():
        raise ValkeyError("there is no Valkey here")

    monkeypatch.setattr("labkit.testing.valkey.find_valkey", missing)
    with pytest.raises(ValkeyError):
        lab.valkey()
    assert not await lab.close()


async def test_bad_arguments_are_named(open_lab):
    """A chapter that does not exist and a thing that cannot be ended are refused."""
    lab = await open_lab()
    with pytest.raises(ValueError, match="chapter=13 does not exist"):
        await Lab.start(chapter=13)
    with pytest.raises(TypeError, match="cannot track 7: it has no aclose"):
        lab.track(7)


async def test_closing_twice_is_closing_once(open_lab, app):
    """A second close finds nothing to do."""
    lab = await open_lab()
    server = await lab.serve(app)
    await lab.close()
    assert not await lab.close()
    with pytest.raises(Unreachable):
        await WebSocketClient.connect(server.ws_url + "/ws")


@pytest.fixture(scope="module")
def kernel():
    """Give a kernel in which the first cell of a notebook was run."""
    with RealKernel() as kernel:
        kernel.run(APP)
        yield kernel


@pytest.fixture
def notebook(kernel):
    """Give the kernel with a fresh lab and a server."""
    kernel.run("lab = await Lab.start(chapter=1)\nserver = await lab.serve(app)")
    return kernel


def ask(kernel, code):
    """Return the result of a cell as text."""
    return kernel.run(code).result.strip("'")


def test_a_server_cell_run_twice_has_one_server(notebook):
    """The second run replaces the first, whose port refuses."""
    old = ask(notebook, "server.url")
    new = ask(notebook, "server = await lab.serve(app)\nserver.url")
    with pytest.raises(httpx.ConnectError):
        httpx.get(old, trust_env=False)
    assert httpx.get(new, trust_env=False).json() == "here"
    assert ask(notebook, "lab") == "Lab of chapter 1: server"


def test_a_cell_that_raises_leaves_the_server(notebook):
    """An exception in a cell is not the server's."""
    url = ask(notebook, "server.url")
    assert notebook.finish(notebook.start("1 / 0")).error.startswith("ZeroDivisionError")
    assert httpx.get(url, trust_env=False).status_code == 200


def test_a_cell_that_blocks_only_delays(notebook):
    """A request during a blocking cell is answered when the cell has ended."""
    url = ask(notebook, "server.url")
    cell = notebook.start("print('blocked', flush=True)\ntime.sleep(1)")
    notebook.wait_for(lambda: cell.stdout, "the cell did not begin")
    assert httpx.get(url, trust_env=False, timeout=20).status_code == 200
    assert not notebook.finish(cell).error


def test_ten_servers_at_once(notebook):
    """Ten servers live side by side and leave nothing."""
    urls = ask(
        notebook,
        "servers = [await lab.serve(app, name=f's{n}') for n in range(10)]\n"
        "' '.join(s.url for s in servers)",
    )
    assert [httpx.get(url, trust_env=False).status_code for url in urls.split()] == [200] * 10
    assert ask(notebook, "await lab.close()") == "0 servers · 0 tasks · 0 sockets left"


def test_prints_of_handlers_land_in_the_cell_that_asked(notebook):
    """What a handler prints belongs to the running cell, over HTTP and over a WebSocket."""
    serving = notebook.run("server = await lab.serve(app)\nprint('serving')")
    asking = notebook.run("await sh(f'curl -s {server.url}')")
    joining = notebook.run("ada, = await lab.join(server, '/ws', 'ada')")
    talking = notebook.run("await ada.send('x'); await ada.receive()")
    assert serving.stdout == "serving\n"
    assert asking.stdout == 'the handler speaks\n"here"'
    assert joining.stdout == ""
    assert talking.stdout == "the socket hears x\n"
    assert [serving.stderr, asking.stderr, joining.stderr, talking.stderr] == [""] * 4


def test_an_interrupt_spares_server_and_valkey(notebook):
    """The stop button ends the cell; the server and Valkey go on."""
    url = ask(notebook, "server.url")
    port = int(ask(notebook, "valkey = lab.valkey()\nvalkey.port"))
    cell = notebook.start("print('waiting', flush=True)\nawait asyncio.Event().wait()")
    notebook.wait_for(lambda: cell.stdout, "the cell did not begin")
    notebook.interrupt()
    assert notebook.finish(cell, 10).error
    assert httpx.get(url, trust_env=False).status_code == 200
    with redis.Redis(port=port) as client:
        assert client.ping()
    assert ask(notebook, "valkey.running") == "True"


def test_a_lab_in_a_kernel_leaves_nothing_and_names_a_leak(notebook):
    """The kernel's own tasks and sockets are not counted; the lesson's are."""
    notebook.run("ada, bob = await lab.join(server, '/ws', 'ada', 'bob')\nvalkey = lab.valkey()")
    notebook.run("async def forgotten(): await asyncio.Event().wait()")
    notebook.run("leak = asyncio.create_task(forgotten())")
    assert ask(notebook, "await lab.close()") == (
        "0 servers · 1 task · 0 sockets left: task forgotten"
    )
    assert ask(notebook, "leak.cancel()\nawait lab.close()") == (
        "0 servers · 0 tasks · 0 sockets left"
    )


async def test_a_pause_is_for_the_eye(monkeypatch):
    """Where displays are static it only gives the loop a turn."""
    monkeypatch.setenv("LABKIT_CI", "1")
    lab = await Lab.start(chapter=1)
    async with asyncio.timeout(5):
        await lab.pause(3600)
    await lab.close()
