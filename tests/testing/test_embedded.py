"""uvicorn as a guest does not end the loop of its host."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import psutil
import pytest
import uvicorn
from fastapi import FastAPI

from labkit.testing.embedded import EmbeddedServer, ExitRequested
from labkit.testing.server import LiveServer
from labkit.testing.streams import Streams
from labkit.testing.waiting import until


async def test_sys_exit_becomes_an_exception():
    """Where uvicorn calls sys.exit, the task fails with an ordinary exception."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        raise RuntimeError
        yield

    config = uvicorn.Config(Streams(FastAPI(lifespan=lifespan)), log_config=None)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    with pytest.raises(ExitRequested):
        await EmbeddedServer(config).run_on(listener)
    assert listener.fileno() == -1


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_made_at_the_last_moment_is_not_forgotten(app, turns):
    """A client that connects as the server stops gets an end, and no socket stays open."""
    server = await LiveServer(app).start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.stop()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    ours = [c for c in psutil.Process().net_connections() if c.laddr.port == server.port]
    assert ours == []


async def test_a_server_that_nobody_uses_stops_at_once(app, monkeypatch):
    """The shutdown of uvicorn, with its pause of a tenth of a second, is for who has guests."""
    asked = []
    theirs = uvicorn.Server.shutdown

    async def noted(self, sockets=None):
        asked.append(len(self.server_state.connections))
        await theirs(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "shutdown", noted)
    async with LiveServer(app):
        pass
    assert asked == []
    async with LiveServer(app) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5):
            await until(lambda: server.connections == 1)
            await server.stop()
    assert asked == [1]
