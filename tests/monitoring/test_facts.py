"""What we rely on in uvicorn, prometheus-client and structlog. Red here means: a lesson changes."""

import asyncio
import json
import os
import socket
import subprocess
import sys

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.websockets import WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.embedded import EmbeddedServer
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.testing.streams import Streams
from labkit.testing.waiting import until


async def test_a_cut_connection_is_told_as_1005():
    """As a client that closes without a code; the two cannot be told apart."""
    codes, app = [], FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as gone:
            codes.append(gone.code)

    async with LiveServer(app) as server:
        reset(await WebSocketClient.connect(f"{server.ws_url}/ws"))
        await until(lambda: codes)
    assert codes == [1005]


async def test_the_accept_line_has_the_query_string():
    """Whatever a client puts there is in the log."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws?token=SECRET123")
        await client.closed()
        lines = [record.getMessage() for record in server.log]
    assert any("/ws?token=SECRET123" in line and "[accepted]" in line for line in lines)


async def test_a_unix_socket_has_no_client(tmp_path):
    """`request.client` is None, and so is a WebSocket's: both come from the ASGI scope."""
    app = FastAPI()

    @app.get("/client")
    async def client(request: Request):
        return request.client

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path := str(tmp_path / "sock"))
        server = EmbeddedServer(uvicorn.Config(Streams(app), log_config=None, lifespan="off"))
        serving = asyncio.ensure_future(server.run_on(listener))
        await server.ready.wait()
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path)) as http:
            assert (await http.get("http://service/client")).json() is None
        server.leave()
        await serving


PRINTS = """
import structlog
structlog.get_logger().debug("seen", n=1)
"""


def test_unconfigured_structlog_prints_text():
    """On stdout, DEBUG included, and no JSON."""
    said = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    assert "debug" in said
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(said)


WRITES = """
from prometheus_client import Gauge
Gauge("open", "…", multiprocess_mode="livesum").inc(7)
"""


def test_the_sum_keeps_the_dead(tmp_path):
    """The process is gone, and `livesum` has its seven."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WRITES], env=env, check=True, timeout=20)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))
    assert registry.get_sample_value("open") == 7


def test_a_name_is_registered_once():
    """So a cell that makes its metrics in the global registry runs once."""
    registry = CollectorRegistry()
    Gauge("open", "…", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Gauge("open", "…", registry=registry)
