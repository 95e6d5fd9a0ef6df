"""`GET /metrics`, and the truth about many workers.

A worker knows its own numbers. So either each is a scrape target of its own, or they share a
directory: `PROMETHEUS_MULTIPROC_DIR`, set before Python starts, empty at the start of the service.
Then whichever worker is asked answers for all of them.

The promise: the gauge counts the living. A worker that was killed has no `finally`, and nobody
tells its siblings; its share of a gauge stays in the directory. So whoever is scraped looks who
lives, and removes the shares of the others. Counters of the dead stay: what they counted happened.

Chapter 10. One small file for each dead worker stays until the directory is emptied.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, make_asgi_app, values
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_LIVE_GAUGE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")
_CLOCKS_S = 2.0
"""The system tells the start of a process to about a second."""


def bury(folder: Path) -> int:
    """Remove the gauges of processes that are gone; returns how many files that were."""
    buried = 0
    for path in folder.glob("gauge_live*.db"):
        name = _LIVE_GAUGE.fullmatch(path.name)
        if name and not _writer_lives(int(name[1]), path):
            path.unlink(missing_ok=True)  # a sibling that is scraped as well may be faster
            buried += 1
    return buried


def _writer_lives(pid: int, path: Path) -> bool:
    """Whether the process that wrote the file is still there, and not another of its number."""
    try:
        process = psutil.Process(pid)
        younger = process.create_time() > path.stat().st_mtime + _CLOCKS_S
        return process.status() != psutil.STATUS_ZOMBIE and not younger
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False


class Scrape:
    """ASGI application of `/metrics`: `app.add_route("/metrics", Scrape(metrics.registry))`.

    Args:
        registry: the metrics of this process; what is told when there is only one.
        folder: where many workers keep theirs; by default what `PROMETHEUS_MULTIPROC_DIR` says.

    Raises:
        RuntimeError: the variable was set too late, so the metrics of this process are not there.
    """

    def __init__(self, registry: CollectorRegistry, folder: Path | None = None) -> None:
        named = os.environ.get(VARIABLE)
        self._folder = folder or (Path(named) if named else None)
        if self._folder is not None and not values.ValueClass._multiprocess:  # noqa: SLF001 - no other way to ask
            raise RuntimeError(f"{VARIABLE} was set too late: set it before Python starts")
        self._own: ASGIApp = make_asgi_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scrape."""
        if self._folder is None:
            await self._own(scope, receive, send)
            return
        bury(self._folder)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=str(self._folder))  # type: ignore[no-untyped-call]
        await make_asgi_app(everybody)(scope, receive, send)
