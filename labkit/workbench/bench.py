"""Benchmarks: what there are, and their run. They are files of `tests/benchmarks`.

Contenders are compared within one run, round by round, so that what else the machine does meets
all of them. Nothing is asserted: figures belong to a machine, and it is named beside them.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from labkit.workbench.benchstand import SERVER_CORE, Sample, ratio

PACKAGES = ("fastapi", "starlette", "uvicorn", "websockets", "sse-starlette", "redis")


@dataclass
class Run:
    """What a benchmark gets.

    Attributes:
        say: prints a line.
        small: in miniature: whether it works, not how fast.
        short: how many clients got fewer messages than they should have.
    """

    say: Callable[[str], None]
    small: bool = False
    short: int = field(default=0, init=False)

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column to the left, figures to the right."""
        self.say(f"\n{title}")
        widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
        for row in [head, *rows]:
            first, *others = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            self.say("  ".join([row[0].ljust(len(first)), *others]))

    def deliveries(
        self,
        title: str,
        fast: Mapping[str, Sequence[Sample]],
        paced: Mapping[str, Sample] | None = None,
    ) -> None:
        """Print rates, processor time and latencies, beside those of the guide and the socket."""
        rows = []
        for name, samples in fast.items():
            self.short += sum(each.counted.short for each in samples)
            rates, costs = _values(samples)
            row = [name, f"{statistics.median(rates):,.0f}", f"{statistics.median(costs):.1f}"]
            guide_rates, guide_costs = _values(fast["guide"])
            row += [f"{ratio(rates, guide_rates):.2f}x", f"{ratio(guide_costs, costs):.2f}x"]
            floor = ratio(_values(fast["sock.send"])[1], costs)
            row += [f"{floor:.0%}"]
            if paced:
                sample = paced[name]
                self.short += sample.counted.short
                row += [_percentile(sample, percent) for percent in (50, 99)]
            busy = max(each.counted.cpu_s / (each.counted.took_s or 1) for each in samples)
            rows.append([*row, f"{busy:.0%}"])
        head = ["", "deliveries/s", "CPU us", "rate/guide", "CPU/guide", "of sock.send"]
        self.table(title, head + (["p50 ms", "p99 ms"] if paced else []) + ["client busy"], rows)

    def latencies(
        self,
        title: str,
        paced: Mapping[str, Sequence[Sample]],
        *,
        may_fail: Collection[str] = (),
    ) -> None:
        """Print what arrived and when; `may_fail` are contenders whose failure is the result."""
        rows = []
        for name, samples in paced.items():
            short = sum(each.counted.short for each in samples)
            self.short += 0 if name in may_fail else short
            costs = statistics.median(each.cpu_us for each in samples)
            told = [[_percentile(each, percent) for each in samples] for percent in (50, 99)]
            rows.append([name, *(_middle(each) for each in told), f"{costs:.1f}", str(short)])
        self.table(title, ["", "p50 ms", "p99 ms", "CPU us", "short"], rows)


def _middle(figures: Sequence[str]) -> str:
    """Give the median of some figures, without those that are dashes."""
    known = [float(each) for each in figures if each != "-"]
    return f"{statistics.median(known):.2f}" if known else "-"


def _values(samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    return [each.counted.rate for each in samples], [each.cpu_us for each in samples]


def _percentile(sample: Sample, percent: float) -> str:
    """Give a latency, or a dash: of a small run it may be that none was sampled."""
    if not sample.counted.latencies_ms:
        return "-"
    return f"{sample.counted.percentile_ms(percent):.2f}"


def found(folder: Path) -> dict[str, Path]:
    """Return the benchmarks of a folder by name."""
    files = sorted(folder.glob("*.py"))
    return {file.stem: file for file in files if not file.stem.startswith("test_")}


def load(file: Path) -> ModuleType:
    """Import one of them."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine() -> str:
    """Name the machine and what is measured on it."""
    pinned = "server and clients pinned" if SERVER_CORE is not None else "not pinned"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    parser = "httptools" if importlib.util.find_spec("httptools") else "h11"  # uvicorn's choice
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({pinned}), "
        f"Python {platform.python_version()}\n{versions}, HTTP by {parser}"
    )


def bench(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> int:
    """Run the named benchmarks, or say which there are.

    Returns:
        The exit status: 1 when a client got fewer messages than it should have, 2 when there is
        no benchmark of that name.
    """
    files = found(folder)
    unknown = sorted(set(names) - set(files) - {"all"})
    if not names or unknown:
        for name in unknown:
            say(f"there is no benchmark {name!r}:")
        for name, file in files.items():
            say(f"{name:<10} {(load(file).__doc__ or '').splitlines()[0]}")
        return 2 if unknown else 0
    say(machine())
    run = Run(say)
    for name in files if "all" in names else names:
        asyncio.run(load(files[name]).run(run))
    if run.short:
        say(f"\n{run.short} times a client got fewer messages than it should have")
    return 1 if run.short else 0
