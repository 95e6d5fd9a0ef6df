"""What a test or a lesson has left behind, by name; and nothing that belongs to its host."""

import asyncio
import socket
import subprocess
import sys

from sse_starlette.sse import AppStatus, _ensure_watcher_started_on_this_loop

from labkit.testing.leftovers import Census, Leftovers, reset_sse_starlette


async def test_nothing_is_left_when_nothing_happened():
    """It is false, and says so in one line."""
    left = await Census().leftovers()
    assert not left
    assert str(left) == "0 servers · 0 tasks · 0 sockets left"


async def test_a_task_is_named():
    """By its name, or else by its function."""
    census = Census()
    task = asyncio.create_task(asyncio.Event().wait(), name="heartbeat")
    try:
        assert (await census.leftovers()).tasks == ("task heartbeat",)
    finally:
        task.cancel()


async def test_what_ends_in_time_is_not_left():
    """A task that is about to end is waited for."""
    census = Census()
    ending = asyncio.create_task(asyncio.sleep(0.05))
    assert not await census.leftovers()
    assert ending.done()


async def test_sockets_and_processes_are_counted():
    """A listener, a connection, a child: each of them is something that should have ended."""
    census = Census()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert (await census.leftovers()).sockets == ("connected socket", "listening socket")
            named = await census.leftovers({port: "server"})
            assert named.sockets == ("listening socket", "socket of server")
            others = await census.leftovers({})
            assert others.sockets == ("listening socket",)
    argv = [sys.executable, "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:  # noqa: ASYNC220 - a moment
        assert len((await census.leftovers()).processes) == (1 if sys.platform == "linux" else 0)
        child.kill()
    assert not await census.leftovers()


def test_many_of_one_name_are_one_entry():
    """The line stays short."""
    left = Leftovers(tasks=("task a", "task a"), sockets=("listening socket",))
    assert str(left) == "0 servers · 2 tasks · 1 socket left: 2 times task a, listening socket"


async def test_sse_starlette_is_put_back():
    """The sticky flag is taken back and the watcher ended."""
    _ensure_watcher_started_on_this_loop()
    AppStatus.should_exit = True
    reset_sse_starlette()
    assert AppStatus.should_exit is False
    await asyncio.sleep(0)
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert "_shutdown_watcher" not in names


async def test_without_sse_starlette_there_is_nothing_to_put_back(monkeypatch):
    """The reset neither needs nor imports sse-starlette."""
    monkeypatch.delitem(sys.modules, "sse_starlette.sse")
    reset_sse_starlette()
    assert "sse_starlette.sse" not in sys.modules
