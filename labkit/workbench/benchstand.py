"""One contender of a benchmark: its server in a process, its clients in another.

Server and clients have a core each, where there are two: what one does is not the other's cost.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labkit.testing.address import HOST
from labkit.testing.children import Child
from labkit.testing.load import Counted, Load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER_S = 60.0
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, CLIENT_CORE = (_CORES[0], _CORES[1]) if len(_CORES) > 1 else (None, None)


class Missing(Exception):  # noqa: N818 - it names the state
    """A contender whose package is not installed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender."""

    counted: Counted
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's time for one delivery."""
        return 1e6 * self.cpu_s / max(1, self.counted.messages)


@dataclass
class Stand:
    """A contender's server and its clients. Use it with `async with`.

    Attributes:
        script: the file with the contenders, run as a program.
        name: which one of them.
        connections: how many clients.
        kind: `websocket` or `sse`.
        hello: text that each WebSocket sends first.
        first: how many messages each client gets before anything is published.
        options: for the contender: `deflate`, …
        pinned: server and clients keep to a core each.

    Raises:
        Missing: a package that it needs is not installed.
    """

    script: Path
    name: str
    connections: int
    kind: str = "websocket"
    hello: str | None = None
    first: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    pinned: bool = True
    load: Load = field(init=False)
    empty_bytes: int = field(init=False)

    async def __aenter__(self) -> Self:
        self._stack = await AsyncExitStack().__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        control = await asyncio.start_server(lambda *both: called.set_result(both), HOST, 0)
        self._stack.callback(control.close)
        settings = self.options | {"contender": self.name}
        settings["core"] = SERVER_CORE if self.pinned else None
        settings["control"] = control.sockets[0].getsockname()[1]
        argv = [sys.executable, str(self.script), json.dumps(settings)]
        child = Child(argv, output=subprocess.DEVNULL)
        self._stack.callback(child.kill)
        async with asyncio.timeout(ANSWER_S):
            self._answers, self._orders = await called
        self._stack.callback(self._orders.close)
        port = (await self._answer())["port"]
        self.empty_bytes = (await self.ask("weigh"))["rss_bytes"]
        scheme, path = ("http", "/events") if self.kind == "sse" else ("ws", "/ws")
        path = self.options.get("path", path)
        self.port = port
        self.load = await self._stack.enter_async_context(
            Load(
                f"{scheme}://{HOST}:{port}{path}",
                connections=self.connections,
                kind="sse" if self.kind == "sse" else "websocket",
                hello=self.hello,
                deflate=bool(self.options.get("deflate")),
                core=CLIENT_CORE if self.pinned else None,
            )
        )
        await self.ask("joined", clients=self.connections)
        if self.first:
            await self.load.until(self.first)

    async def _answer(self) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_S):
            line = await self._answers.readline()
        if not line:
            raise ConnectionError(f"the server of {self.name} has ended")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise Missing(f"{self.name}: {answer['missing']} is not installed")
        return answer

    async def ask(self, do: str, **order: object) -> dict[str, Any]:
        """Have the server do something; return what it says."""
        self._orders.write(json.dumps({"do": do} | order).encode() + b"\n")
        return await self._answer()

    async def publish(
        self,
        turns: int,
        *,
        per_turn: int = 1,
        every_s: float = 0,
        size: int = 120,
        timeout_s: float = 20,
    ) -> Sample:
        """Publish some turns, as fast as it can or at a pace; return what arrived."""
        before = (await self.ask("weigh"))["cpu_s"]
        counting = asyncio.ensure_future(self.load.until(turns * per_turn, timeout_s=timeout_s))
        await asyncio.sleep(0)  # the clients' order goes first
        order: dict[str, Any] = {
            "turns": turns,
            "per_turn": per_turn,
            "every_s": every_s,
            "size": size,
        }
        order["timeout_s"] = timeout_s
        _, counted = await asyncio.gather(self.ask("publish", **order), counting)
        return Sample(counted, (await self.ask("weigh"))["cpu_s"] - before)


@asynccontextmanager
async def standing(
    stands: Sequence[Stand], say: Callable[[str], None]
) -> AsyncIterator[list[Stand]]:
    """Start all of them; say which are missing, and go on without those."""
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(
            *(stack.enter_async_context(stand) for stand in stands), return_exceptions=True
        )
        for each in started:
            if isinstance(each, Missing):
                say(f"  left out: {each}")
            elif isinstance(each, BaseException):
                raise each
        yield [each for each in started if isinstance(each, Stand)]


async def rounds(
    stands: Sequence[Stand], count: int, measure: Callable[[Stand], Awaitable[Sample]]
) -> dict[str, list[Sample]]:
    """Measure each of them in turn, so many times over: A B C, A B C, …."""
    samples: dict[str, list[Sample]] = {stand.name: [] for stand in stands}
    for _ in range(count):
        for stand in stands:
            samples[stand.name].append(await measure(stand))
    return samples


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of one value for the other of the same round."""
    return statistics.median(
        a / b if b else float("inf") for a, b in zip(ours, theirs, strict=True)
    )
