"""A server in a process of its own, watched from outside: its loop may freeze, ours goes on.

A thread beside the server's loop reports what a frozen loop cannot tell by itself: how long it
has not come back, the CPU time that it takes, and how much it logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import signal
import socket
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx
import uvicorn

from labkit.testing.address import HOST
from labkit.testing.outcomes import Silence
from labkit.testing.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_S = 0.02
REPORT_TIMEOUT_S = 5.0
PROLOGUE = """
import asyncio, contextlib, json, logging
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from labkit.architecture import *
from labkit.resilience import *
from labkit.websocket import *
"""


class Sample(NamedTuple):
    """One report: seconds of a monotonic clock, and what the process had done by then."""

    at_s: float
    lag_s: float
    cpu_s: float
    logged: int


class WatchedServer:
    """An application that uvicorn serves in a child process. Make one with `start`."""

    def __init__(self, process: ServerProcess) -> None:
        self.url = process.url
        self.ws_url = process.ws_url
        self._process = process
        self._samples: list[Sample] = []

    @classmethod
    async def start(cls, make_app: Callable[[], Any]) -> Self:
        """Serve what `make_app`, written in a cell, returns.

        Args:
            make_app: Its source runs in the child, where it finds the names of `PROLOGUE`.

        Raises:
            StartupError: It does not serve; the message has its last words.
        """
        source = textwrap.dedent(inspect.getsource(make_app))
        program = f"{PROLOGUE}\n{source}\napp = {make_app.__name__}()\n"
        process = ServerProcess(["-m", "labkit.workbench.apart", "{port}", program])
        return cls(await process.start())

    @property
    def samples(self) -> list[Sample]:
        """Every report so far."""
        if self._process.running:
            lines = [line for line in self._process.lines if line.endswith("]")]
            self._samples = [Sample(*json.loads(line)) for line in lines if line.startswith("[")]
        return self._samples

    async def report(self) -> Sample:
        """Wait for a report that was begun after this call, frozen or not.

        Raises:
            Silence: None came in time.
        """
        enough = len(self.samples) + 2
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                while len(self.samples) < enough:  # noqa: ASYNC110 - reports come on their own
                    await asyncio.sleep(REPORT_S)
        except TimeoutError as error:
            raise Silence(f"the process reported nothing for {REPORT_TIMEOUT_S:g} s") from error
        return self.samples[-1]

    async def answers(self, path: str, *, within_s: float) -> bool:
        """Whether it answers a GET in time, with whatever status."""
        try:
            async with asyncio.timeout(within_s), httpx.AsyncClient(trust_env=False) as client:
                await client.get(self.url + path)
        except (TimeoutError, httpx.TransportError):
            return False
        return True

    async def ends(self, *, within_s: float) -> bool:
        """Whether it ends in time when it is asked to, with SIGTERM."""
        self._process.signal(signal.SIGTERM)
        try:
            await self._process.ended(timeout_s=within_s)
        except Silence:
            return False
        return True

    async def aclose(self) -> None:
        """Kill the process; its reports can still be read. A second call does nothing."""
        self._samples = self.samples
        await self._process.aclose()

    def __repr__(self) -> str:
        return f"WatchedServer({'running' if self._process.running else 'ended'})"


class _Count(logging.Handler):
    """Counts records and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    def emit(self, _record: logging.LogRecord) -> None:
        self.records += 1


async def _serve(port: int, program: str) -> None:
    """Serve the program's `app`; runs in the child."""
    namespace: dict[str, Any] = {}
    exec(program, namespace)  # noqa: S102 - a cell of the reader's own notebook
    count = _Count()
    logging.basicConfig(handlers=[count], level=logging.INFO)
    listener = socket.create_server((HOST, port))
    loop = asyncio.get_running_loop()
    threading.Thread(target=_report, args=(loop, count), daemon=True).start()
    config = uvicorn.Config(namespace["app"], log_config=None, timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


def _report(loop: asyncio.AbstractEventLoop, count: _Count) -> None:
    """Print a report every few milliseconds, from a thread that a busy loop cannot stop."""
    back, asked_s = threading.Event(), time.monotonic()
    back.set()
    with contextlib.suppress(RuntimeError):  # the loop has ended
        while True:
            now_s = time.monotonic()
            lag_s = 0.0 if back.is_set() else now_s - asked_s
            report = Sample(now_s, lag_s, time.process_time(), count.records)
            print(json.dumps(report), flush=True)
            if back.is_set():
                back.clear()
                asked_s = now_s
                loop.call_soon_threadsafe(back.set)
            time.sleep(REPORT_S)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
