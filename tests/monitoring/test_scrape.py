"""`/metrics`: one process tells its own numbers, many tell the truth of all the living."""

import asyncio
import os
import signal

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families as parsed

from labkit.monitoring import Metrics, Scrape, bury
from labkit.testing.clients import WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.testing.server import LiveServer


async def scrape(url):
    """Return every sample of `/metrics` by name and labels."""
    async with httpx.AsyncClient() as http:  # a new connection: any worker may answer
        answer = await http.get(f"{url}/metrics")
    assert answer.status_code == 200
    return {(s.name, *s.labels.values()): s.value for m in parsed(answer.text) for s in m.samples}


async def test_one_process_tells_its_own():
    """Under the path itself, without a redirect."""
    metrics, app = Metrics(), FastAPI()
    app.add_route("/metrics", Scrape(metrics.registry))
    async with LiveServer(app) as server:
        with metrics.session("sse"):
            samples = await scrape(server.url)
    assert samples["realtime_connections_active", "sse"] == 1


def test_a_folder_that_comes_too_late_is_an_error_at_the_start(tmp_path, monkeypatch):
    """Not an empty answer later: the numbers of this process would be nowhere."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.raises(RuntimeError, match="set it before Python starts"):
        Scrape(Metrics().registry)


WORKER = """
import os

from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router
from labkit.monitoring import Metrics, Scrape
from labkit.websocket import Session

app, manager, metrics = FastAPI(), Manager(), Metrics()
app.add_route("/metrics", Scrape(metrics.registry))


@app.websocket("/ws")
async def ws(websocket: WebSocket):
    with metrics.session() as visit:
        greet = lambda connection: connection.send(PID)
        session = Session(
            websocket=websocket, manager=manager, on_text=Router(), on_open=greet
        )
        await visit.run(session)


from labkit.architecture import encode

PID = encode("pid", pid=os.getpid())
"""


async def settled(url, active):
    """Scrape until the gauge says `active`; return the samples."""
    async with asyncio.timeout(10):
        while (found := await scrape(url)).get(
            ("realtime_connections_active", "websocket")
        ) != active:
            await asyncio.sleep(0.02)
    return found


@pytest.mark.timeout(60)
async def test_a_worker_that_is_killed_is_not_counted_any_more(tmp_path, monkeypatch):
    """Two real workers, one scrape for both; after `kill -9` the gauge is what is open."""
    (tmp_path / "worker.py").write_text(WORKER)
    (folder := tmp_path / "metrics").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    command = ["-m", "uvicorn", "worker:app", "--app-dir", str(tmp_path), "--workers", "2"]
    async with ServerProcess([*command, "--port", "{port}", "--log-level", "error"]) as process:
        clients = {}
        while len(clients) < 2 or min(map(len, clients.values())) < 2:
            client = await WebSocketClient.connect(f"{process.ws_url}/ws")
            clients.setdefault((await client.receive_json())["pid"], []).append(client)
        total = sum(map(len, clients.values()))
        await settled(process.url, total)
        victim, orphans = clients.popitem()
        os.kill(victim, signal.SIGKILL)
        for client in orphans:
            assert (await client.closed()).code == 1006
        samples = await settled(process.url, total - len(orphans))
        assert samples["realtime_connections_accepted_total", "websocket"] == total
        (others,) = clients.values()
        for client in others:
            await client.close()


def test_the_living_keep_their_gauges(tmp_path):
    """The dead lose theirs, counters stay, and what is no gauge of ours is not touched."""
    gone = 2**22 + 1  # no system gives such a number by default
    names = [f"gauge_livesum_{os.getpid()}.db", f"counter_{gone}.db", "gauge_livesum_x.db"]
    for name in [*names, f"gauge_livesum_{gone}.db", f"gauge_liveall_{gone}.db"]:
        (tmp_path / name).touch()
    assert bury(tmp_path) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)


def test_a_number_that_was_given_again_is_not_its_first_owner(tmp_path):
    """A file older than the process of that number was written by another."""
    path = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    path.touch()
    os.utime(path, (1, 1))
    assert bury(tmp_path) == 1
