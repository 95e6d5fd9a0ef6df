"""A child process is out of reach of Ctrl-C and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labkit.testing.children import Child

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)"
PARENT = """
import subprocess, sys, time
from labkit.testing.children import Child
child = Child([sys.executable, "-c", "import time; time.sleep(600)"], output=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_it_has_a_process_group_of_its_own():
    """A signal to the parent's group, as Ctrl-C sends it, does not reach the child."""
    child = Child(SLEEP, output=subprocess.DEVNULL)
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    child.stop()
    assert not child.running


def test_pause_and_resume():
    """A paused child is stopped and still counts as running."""
    child = Child(SLEEP, output=subprocess.DEVNULL)
    child.pause()
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + 5
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.status() == psutil.STATUS_STOPPED
    assert child.running
    child.resume()
    assert process.status() != psutil.STATUS_STOPPED
    child.kill()
    assert not child.running


@pytest.mark.parametrize("end", [Child.stop, Child.kill])
def test_a_paused_child_can_be_ended(end):
    """Stop and kill end a paused child too, and may be called again."""
    child = Child(SLEEP, output=subprocess.DEVNULL)
    child.pause()
    end(child)
    end(child)
    assert not child.running
    assert child._watchdog._process.poll() is not None


def test_a_child_that_ignores_the_request_is_killed(monkeypatch):
    """A child that ignores SIGTERM is killed at the deadline."""
    monkeypatch.setattr("labkit.testing.children.STOP_TIMEOUT_S", 0.2)
    child = Child([sys.executable, "-uc", STUBBORN], output=subprocess.PIPE)
    assert child.process.stdout.readline() == b"1\n"
    child.stop()
    child.process.stdout.close()
    assert child.process.returncode == -signal.SIGKILL


def test_a_program_that_does_not_exist_leaves_no_watchdog():
    """When the program cannot be run, its watchdog goes as well."""
    before = set(psutil.Process().children())
    with pytest.raises(FileNotFoundError):
        Child(["/nowhere/program"], output=subprocess.DEVNULL)
    assert set(psutil.Process().children()) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("paused", [False, True])
def test_it_dies_with_its_parent(number, paused):
    """A parent that is killed alone takes its child along, a paused one too."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    pid = int(parent.stdout.readline())
    if paused:
        os.kill(pid, signal.SIGSTOP)
    parent.send_signal(number)
    parent.wait(10)
    parent.stdout.close()
    assert gone(pid)
