"""A server in a process of its own: its loop may freeze without freezing ours.

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
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx
import uvicorn

from labkit.testing.children import Child
from labkit.testing.outcomes import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
START_TIMEOUT_S = 20.0
REPORT_S = 0.02
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


class ServerProcess:
    """An application served by uvicorn in a child process. Make one with `start`."""

    def __init__(self, child: Child) -> None:
        self.samples: list[Sample] = []
        self.port = 0
        self.last_words = "nothing was said"
        self._child = child
        self._pipe: asyncio.ReadTransport | None = None
        self._told = asyncio.Event()

    @classmethod
    async def start(cls, make_app: Callable[[], Any]) -> Self:
        """Serve what `make_app`, written in a cell, returns; it may use labkit's names so far.

        Raises:
            Unreachable: It does not serve; the message has its last words.
            TimeoutError: It says nothing in time.
        """
        source = textwrap.dedent(inspect.getsource(make_app))
        program = f"{PROLOGUE}\n{source}\napp = {make_app.__name__}()\n"
        argv = [sys.executable, "-m", "labkit.workbench.apart", program]
        process = cls(Child(argv, output=subprocess.PIPE))
        try:
            process._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: _Reports(process), process._child.process.stdout
            )
            await process._serving()
        except BaseException:
            await process.aclose()
            raise
        return process

    @property
    def url(self) -> str:
        """Base address for HTTP."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Base address for WebSockets."""
        return f"ws://{HOST}:{self.port}"

    @property
    def now(self) -> Sample:
        """The last report."""
        return self.samples[-1]

    async def answers(self, path: str, *, within_s: float) -> bool:
        """Whether it answers a GET in time, with whatever status."""
        if not self.port:
            return False
        try:
            async with asyncio.timeout(within_s), httpx.AsyncClient(trust_env=False) as client:
                await client.get(self.url + path)
        except (TimeoutError, httpx.TransportError):
            return False
        return True

    async def ends(self, *, within_s: float) -> bool:
        """Whether it ends in time when it is asked to, with SIGTERM."""
        self._child.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._child.running:  # noqa: ASYNC110 - a process has no event to wait for
                    await asyncio.sleep(0.01)
        return not self._child.running

    async def _serving(self) -> None:
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._told.wait()
        if not await self.answers("/", within_s=START_TIMEOUT_S):
            raise Unreachable(f"the process does not serve: {self.last_words}")

    async def aclose(self) -> None:
        """Kill the process. The system closes its connections."""
        self._child.kill()
        if self._pipe is not None:
            self._pipe.close()
            await asyncio.sleep(0)  # the transport closes its file in the next turn

    def __repr__(self) -> str:
        return f"ServerProcess({'running' if self._child.running else 'ended'})"

    def take(self, line: str) -> None:
        """Take one line of the process: its port, a report, or anything else in distress."""
        self.last_words = line
        if line.isdigit():
            self.port = int(line)
            self._told.set()
        elif line.startswith("["):
            self.samples.append(Sample(*json.loads(line)))

    def finish(self) -> None:
        """Take note that the process will say nothing more."""
        self._told.set()


class _Reports(asyncio.Protocol):
    """Cuts what the process prints into lines."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._process.take(line.decode(errors="replace"))

    def connection_lost(self, _error: Exception | None) -> None:
        self._process.finish()


class _Count(logging.Handler):
    """Counts records and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    def emit(self, _record: logging.LogRecord) -> None:
        self.records += 1


async def _serve(program: str) -> None:
    """Serve the program's `app`; runs in the child."""
    namespace: dict[str, Any] = {}
    exec(program, namespace)  # noqa: S102 - a cell of the reader's own notebook
    count = _Count()
    logging.basicConfig(handlers=[count], level=logging.INFO)
    listener = socket.create_server((HOST, 0))
    print(listener.getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_report, args=(loop, count), daemon=True).start()
    config = uvicorn.Config(namespace["app"], log_config=None, timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


def _report(loop: asyncio.AbstractEventLoop, count: _Count) -> None:
    """Print a report every few milliseconds, from a thread that a busy loop cannot stop."""
    back, asked_s = threading.Event(), time.monotonic()
    back.set()
    with contextlib.suppress(RuntimeError, BrokenPipeError):  # the loop, or our parent, has ended
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
    asyncio.run(_serve(sys.argv[1]))
