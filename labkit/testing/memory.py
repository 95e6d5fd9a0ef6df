"""How much memory a process takes while something happens to it."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple, Self

import psutil

SAMPLE_S = 0.005
MIB = 1 << 20


class Sample(NamedTuple):
    """Seconds since the meter began, and resident memory in bytes."""

    at_s: float
    rss: int


class MemoryMeter:
    """Watch a process from outside: `async with MemoryMeter(pid) as meter:`.

    Args:
        pid: of the process.

    Attributes:
        samples: one every 5 ms, the first taken before anything happened.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    @property
    def grown_mib(self) -> float:
        """By how much resident memory rose above the first sample, at its highest, in MiB."""
        return (max(each.rss for each in self.samples) - self.samples[0].rss) / MIB

    def look(self) -> None:
        """Take a sample now."""
        rss = self._process.memory_info().rss
        self.samples.append(Sample(time.monotonic() - self._began, rss))

    async def __aenter__(self) -> Self:
        self.look()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        self.look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.look()
