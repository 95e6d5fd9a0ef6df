"""The command line, as it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit.workbench import cli, workcopy
from labkit.workbench.launch import QUIET

COMMANDS = ["lab", "test", "doctor", "reset", "solve", "outline", "ledger", "exercises"]
COMMANDS += ["bench", "serve", "readme"]
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a clone with one notebook."""
    (tmp_path / "labkit" / "workbench").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_architecture.ipynb").write_text(NOTEBOOK)
    monkeypatch.setattr(workcopy, "PACKAGE", tmp_path / "labkit")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Type a command; return its exit code, or its sentence if it fails with one."""
    monkeypatch.setattr(sys, "argv", ["labkit", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code or 0


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS], ["notebooks", "check"]])
def test_every_command_has_help(monkeypatch, capsys, command: list[str]):
    """Help shows how the command is typed."""
    assert run(monkeypatch, *command, "--help") == 0
    assert " ".join(["Usage: labkit", *command]) in capsys.readouterr().out


def test_help_lists_every_command_with_a_whole_line(monkeypatch, capsys):
    """No line of the list is cut short."""
    run(monkeypatch, "--help")
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == [*COMMANDS, "notebooks"]
    assert "..." not in listed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dance"], "No such command"),
        (["reset"], "name one chapter"),
        (["reset", "01", "--all"], "name one chapter"),
        (["reset", "twelve"], "chapter"),
        (["reset", "07"], "no chapter 07: choose one of 01"),
        (["solve", "07"], "no chapter 07"),
        (["lab", "07"], "no chapter 07"),
        (["test", "--only", "dance"], "no step dance"),
        (["notebooks", "build", "nowhere.ipynb"], "nowhere.ipynb is not a file"),
    ],
)
def test_mistake_is_told_in_one_sentence(clone, monkeypatch, arguments, sentence):
    """A mistake names what is wrong, on one line."""
    said = run(monkeypatch, *arguments)
    assert isinstance(said, str)
    assert said.startswith("labkit: ")
    assert sentence in said
    assert "\n" not in said


def test_reset_says_where_the_old_notebook_is(clone: Path, monkeypatch, capsys):
    """The first reset makes the copy, the second moves it."""
    assert run(monkeypatch, "reset", "01") == 0
    assert capsys.readouterr().out == "chapter 01 is pristine\n"
    assert run(monkeypatch, "reset", "--all") == 0
    assert f"yours moved to {clone}/workbook/.attic/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "options"),
    [
        (["lab"], []),
        (["lab", "01"], []),
        (["lab", "01", "--no-browser"], ["--no-browser"]),
        (["lab", "--no-browser", "--port=9999"], ["--no-browser", "--port=9999"]),
        ([], []),
    ],
)
def test_lab_becomes_jupyterlab_on_the_working_copy(clone: Path, monkeypatch, typed, options):
    """The notebook is the learner's; further options are JupyterLab's."""
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: called.append(command))
    run(monkeypatch, *typed)
    (command,) = called
    assert command[:4] == [
        sys.executable,
        "-m",
        "jupyterlab",
        f"{clone}/workbook/01_architecture.ipynb",
    ]
    assert [part for part in command if part in {"--no-browser", "--port=9999"}] == options


def test_jupyterlab_knows_the_options_it_is_given():
    """JupyterLab accepts every option that labkit passes and refuses none."""
    done = subprocess.run(
        [sys.executable, "-m", "jupyterlab", *QUIET, "--show-config-json"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "NeverCheckForUpdate" in done.stdout
    assert "nrecognized" not in done.stderr


def test_outline_goes_through_a_pipe_without_colours():
    """Output that is not a terminal's holds plain text."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.workbench.cli", "outline"],
        cwd=Path(labkit.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "min" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
