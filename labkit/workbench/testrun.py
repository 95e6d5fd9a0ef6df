"""What ``labkit test`` does: every check of the project, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

STEP_TIMEOUT_S = 1200
PYTHON = sys.executable
# Loading nbval costs seconds in every worker (jsonschema compiles a grammar), and here it has no
# notebook to compare. Three workers, since half of a test's time is waiting, on two cores too.
PYTEST = ("pytest", "-p", "no:nbval", "-n", "3", "--dist", "loadfile", "tests")


@dataclass(frozen=True)
class Step:
    """One check: its name and its command."""

    name: str
    command: tuple[str, ...]


STEPS = (
    Step("ruff", (PYTHON, "-m", "ruff", "check", ".")),
    Step("format", (PYTHON, "-m", "ruff", "format", "--check", ".")),
    Step("mypy", (PYTHON, "-m", "mypy")),
    Step("imports", ("lint-imports",)),
    Step("pytest", (PYTHON, "-m", *PYTEST)),
    Step("notebooks", (PYTHON, "-m", "labkit.workbench.cli", "notebooks", "check")),
)


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    name: str
    passed: bool
    took_s: float

    def __str__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.name:<10} {self.took_s:6.1f} s"


class RunError(Exception):
    """The run cannot begin; one sentence with the cure."""


def run(root: Path, only: Sequence[str], say: Callable[[str], None]) -> int:
    """Run the steps one after the other, all of them even if one fails.

    Args:
        root: The clone.
        only: Names of the steps to run; empty for all.
        say: Shows one line.

    Returns:
        0 if every step passed, else 1.

    Raises:
        RunError: There is no such step, or the tools are not installed.
    """
    names = [step.name for step in STEPS]
    if unknown := sorted(set(only) - set(names)):
        raise RunError(f"there is no step {unknown[0]}: choose from {', '.join(names)}")
    if importlib.util.find_spec("xdist") is None or importlib.util.find_spec("ruff") is None:
        raise RunError("the test tools are not installed here: python -m pip install -e '.[test]'")
    results = []
    for step in STEPS:
        if only and step.name not in only:
            continue
        say(f"── {step.name}")
        results.append(run_step(step, root))
        say(f"{results[-1]}\n")
    failed = [result.name for result in results if not result.passed]
    for result in results:
        say(str(result))
    total_s = sum(result.took_s for result in results)
    verdict = f"failed: {', '.join(failed)}" if failed else "all passed"
    say(f"labkit test: {len(results)} steps in {total_s:.0f} s, {verdict}")
    return 1 if failed else 0


def run_step(step: Step, root: Path) -> Result:
    """Run one step with its output in plain view."""
    program = shutil.which(step.command[0], path=sysconfig.get_path("scripts"))
    command = [program or step.command[0], *step.command[1:]]
    started = time.monotonic()
    try:
        code = subprocess.run(  # noqa: S603 - one of STEPS
            command,
            cwd=root,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            timeout=STEP_TIMEOUT_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        code = 1
    return Result(step.name, code == 0, time.monotonic() - started)
