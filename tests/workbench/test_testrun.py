"""What ``labkit test`` runs and how it tells the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labkit.workbench import testrun
from labkit.workbench.testrun import RunError, Step


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the steps with three quick ones, of which the second fails."""
    steps = (
        Step("one", (sys.executable, "-c", "open('one', 'w')")),
        Step("two", (sys.executable, "-c", "raise SystemExit(5)")),
        Step("three", (sys.executable, "-c", "open('three', 'w')")),
    )
    monkeypatch.setattr(testrun, "STEPS", steps)
    return []


def test_failed_step_stops_nothing_and_decides(tmp_path: Path, said: list[str]):
    """All steps run in the clone; the summary names the one that failed."""
    assert testrun.run(tmp_path, [], said.append) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three"]
    assert [line.split()[:2] for line in said[-4:-1]] == [
        ["✓", "one"],
        ["✗", "two"],
        ["✓", "three"],
    ]
    assert said[-1].endswith("failed: two")


def test_chosen_steps_run_alone(tmp_path: Path, said: list[str]):
    """Only what was asked for runs."""
    assert testrun.run(tmp_path, ["three"], said.append) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["three"]
    assert said[-1].endswith("all passed")


def test_unknown_step_runs_nothing(tmp_path: Path, said: list[str]):
    """The sentence lists the steps there are."""
    with pytest.raises(RunError, match="no step four: choose from one, two, three"):
        testrun.run(tmp_path, ["one", "four"], said.append)
    assert not list(tmp_path.iterdir())


def test_step_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A step that passes its deadline has failed."""
    monkeypatch.setattr(testrun, "STEP_TIMEOUT_S", 0.1)
    step = Step("wait", (sys.executable, "-c", "import signal; signal.pause()"))
    assert not testrun.run_step(step, tmp_path).passed


def test_missing_tools_are_told_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An environment without the test extra gets a sentence."""
    monkeypatch.setattr(testrun.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RunError, match="pip install"):
        testrun.run(tmp_path, [], print)


def test_every_step_can_be_started():
    """Each program of the real steps is installed."""
    for step in testrun.STEPS:
        program = testrun.shutil.which(step.command[0], path=testrun.sysconfig.get_path("scripts"))
        assert program or Path(step.command[0]).is_file(), step.name
