"""A service for many workers, with three ways to tell how many connections there are.

`/own` is the plain scrape of a registry; `/summed` is prometheus-client's many-process mode, as
documented; `/metrics` is chapter 10's. Each client is told the pid of its worker.
"""

from __future__ import annotations

import os

from fastapi import FastAPI, WebSocket
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from labkit.architecture import Connection, Manager, Router, encode
from labkit.monitoring import Metrics, Scrape
from labkit.websocket import Session

COMMAND = (
    *("-m", "uvicorn", "--factory", "labkit.workbench.workers:create_app"),
    *("--workers", "2", "--port", "{port}", "--log-level", "critical"),
)
"""Python's arguments for two of them; `PROMETHEUS_MULTIPROC_DIR` must name an empty folder."""


def create_app() -> FastAPI:
    """Make the application of one worker."""
    app, manager, router, metrics = FastAPI(), Manager(), Router(), Metrics()
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
    app.mount("/own", make_asgi_app(metrics.registry))
    app.mount("/summed", make_asgi_app(everybody))
    app.add_route("/metrics", Scrape(metrics.registry))  # type: ignore[arg-type]  # it is an ASGI app

    def greet(connection: Connection) -> None:
        connection.send(encode("worker", pid=os.getpid()))

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        with metrics.session() as visit:
            await visit.run(
                Session(websocket=websocket, manager=manager, on_text=router, on_open=greet)
            )

    return app
