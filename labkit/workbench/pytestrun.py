"""Run tests that were written in notebook cells: a file, real pytest, a process of its own.

A test that hangs harms nothing but itself: its process is ended, and the outcome says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from labkit.testing.children import Child
from labkit.testing.waiting import until
from labkit.workbench.display import Table, Tabled, table

START_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 30.0
IDLE_S = 6.0  # more than the deadlines of clients
PROLOGUE = """
import asyncio, contextlib, json
import httpx, pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from sse_starlette import EventSourceResponse, ServerSentEvent
from labkit.architecture import *
from labkit.sse import MemoryBroker, ValkeyBroker
from labkit.testing.clients import *
from labkit.testing.faults import *
from labkit.testing.waiting import until
from labkit.websocket import *
from labkit.workbench.room import Room
"""
Part = Callable[..., Any] | str


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What became of one test: `passed`, `failed`, `skipped`, `hung` or `never ran`."""

    name: str
    outcome: str
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.outcome == "passed"


@dataclass(frozen=True, slots=True, repr=False)
class TestRun(Tabled):
    """What became of each test, in the order of the file."""

    outcomes: tuple[TestOutcome, ...]

    @property
    def green(self) -> bool:
        """Whether there was a test, and every one passed."""
        return bool(self.outcomes) and all(each.passed for each in self.outcomes)

    def __getitem__(self, name: str) -> TestOutcome:
        return next(each for each in self.outcomes if each.name == name)

    @property
    def table(self) -> Table:
        """A row for each test."""
        marks = {"passed": "✓", "skipped": "–", "never ran": "□"}
        rows = [
            (each.name, f"{marks.get(each.outcome, '✗')} {each.outcome}", each.why)
            for each in self.outcomes
        ]
        return table(rows, ("test", "outcome", "why"))


class PytestHost:
    """The warm process of one notebook; use `start`, and `aclose` at the end.

    It needs `fork`, so it does not run on Windows.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-")
        self._path = Path(self._folder.name, "host")
        argv = [sys.executable, "-m", "labkit.workbench.pytesthost", str(self._path)]
        self._child = Child(argv, output=subprocess.DEVNULL)

    @classmethod
    def start(cls) -> Self:
        """Begin to import, and return at once."""
        return cls()

    async def run(
        self,
        *parts: Part,
        plugins: Sequence[str] = ("labkit.testing.fixtures",),
        auto: bool = True,
        idle_s: float = IDLE_S,
    ) -> TestRun:
        """Write the parts into a file and let pytest run the tests among them.

        Args:
            parts: Functions and classes of a cell, or source text. They find the names of
                `PROLOGUE`.
            plugins: Further pytest plugins.
            auto: Whether anyio's plugin runs asynchronous tests.
            idle_s: Seconds of doing nothing after which a test counts as hanging; the rest then
                never runs.
        """
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            _write(Path(folder, "test_cells.py"), parts)
            job = {"folder": folder, "plugins": list(plugins), "auto": auto, "idle_s": idle_s}
            return _outcomes(await self._ask(job))

    async def aclose(self) -> None:
        """End the process; a second call does nothing."""
        self._child.kill()
        self._folder.cleanup()

    async def _ask(self, job: dict[str, Any]) -> list[list[str]]:
        """Have one job done; return its lines. A run that takes too long is killed."""
        await until(self._path.exists, timeout_s=START_TIMEOUT_S)
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        lines: list[list[str]] = []
        try:
            writer.write(json.dumps(job).encode() + b"\n")
            async with asyncio.timeout(RUN_TIMEOUT_S):
                while line := await reader.readline():
                    lines.append(json.loads(line))
        except BaseException as error:
            if lines:  # the first one has the pid of the fork
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(lines[0][1]), signal.SIGKILL)
            if not isinstance(error, TimeoutError):
                raise
            lines.append(["error", "the run", f"not finished after {RUN_TIMEOUT_S:g} s"])
        finally:
            writer.close()
        return lines


def _write(file: Path, parts: Sequence[Part]) -> None:
    file.write_text("\n\n".join([PROLOGUE, *map(_source, parts)]))


def _source(part: Part) -> str:
    if isinstance(part, str):
        return textwrap.dedent(part)
    return textwrap.dedent(inspect.getsource(inspect.unwrap(part)))  # of a fixture, too


def _outcomes(lines: list[list[str]]) -> TestRun:
    """Make one outcome for each test that was collected, and for what went wrong besides."""
    ended: dict[str, TestOutcome] = {}
    for kind, name, why in lines:
        if kind == "collected":
            ended[name] = TestOutcome(name, "never ran")
        elif kind not in {"pid", "end"} and (name not in ended or ended[name].outcome != "failed"):
            ended[name] = TestOutcome(name, kind, _same_every_time(why))
    return TestRun(tuple(ended.values()))


def _same_every_time(text: str) -> str:
    """Take out what differs from run to run, and what a reader does not need."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    text = re.sub(r":\d{4,5}\b", "", text)
    return re.sub(r"^(E +)?(\w+\.)+(?=[A-Z]\w*: )", "", text)
