"""The doctor: it is well here, and it notices each illness."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from labkit.testing import valkey
from labkit.workbench import doctor
from labkit.workbench.doctor import Finding, Mark

PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the tester's own proxies away."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_healthy_machine_passes_every_required_check():
    """On the machine that runs the tests, nothing that lessons need is missing."""
    said: list[str] = []
    assert doctor.examine(said.append) == 0, said
    assert len(said) == len(doctor.CHECKS)
    assert any("1 + 1 = 2" in line for line in said)


def test_one_illness_decides_and_stops_nothing():
    """All checks run, a note is no illness, and a check that faints is one."""

    def note() -> Finding:
        return Finding(Mark.NOTE, "no browser", "install one")

    def faint() -> Finding:
        raise RuntimeError("first\nlast")

    said: list[str] = []
    assert doctor.examine(said.append, [note]) == 0
    assert doctor.examine(said.append, [faint, note]) == 1
    assert said[0] == said[2] == "– no browser: install one"
    assert said[1].startswith("✗ faint cannot be looked at (last): ")


def test_proxy_before_loopback_is_noticed(monkeypatch: pytest.MonkeyPatch):
    """A proxy is an illness only while it catches 127.0.0.1."""
    assert doctor.proxies().mark is Mark.GOOD
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("http_proxy", PROXY)
    assert doctor.proxies().mark is Mark.BAD
    assert "NO_PROXY" in doctor.proxies().cure
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert doctor.proxies().mark is Mark.GOOD


def test_missing_requirement_is_an_illness(monkeypatch: pytest.MonkeyPatch):
    """The line names the requirement, what is there and what is wanted."""
    monkeypatch.setattr(metadata, "requires", lambda _: ["fastapi>=900", "no-such-package>=1"])
    finding = doctor.requirements()
    assert finding.mark is Mark.BAD
    assert f"fastapi {metadata.version('fastapi')} (>=900)" in finding.what
    assert "no-such-package missing (>=1)" in finding.what


def test_other_versions_are_a_note(tmp_path: Path):
    """What differs from the constraints is named; what is not installed does not count."""
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("fastapi==0.1\nno-such-package==1.0 ; sys_platform == 'darwin'\n")
    finding = doctor.versions(constraints)
    assert finding.mark is Mark.NOTE
    assert finding.what.endswith(f"fastapi {metadata.version('fastapi')}")


def test_full_disk_is_an_illness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Too little room is told in megabytes."""
    usage = namedtuple("usage", "free")  # noqa: PYI024 - stands for shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5 << 20))
    assert doctor.disk(tmp_path) == Finding(Mark.BAD, "5 MB free on this disk", "free 200 MB")


def test_closed_loopback_is_an_illness(monkeypatch: pytest.MonkeyPatch):
    """Without a port on 127.0.0.1 there is no lesson."""

    def refuse(*_: object) -> None:
        raise OSError("Operation not permitted")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert doctor.loopback().mark is Mark.BAD


def test_valkey_that_does_not_start_is_an_illness(monkeypatch: pytest.MonkeyPatch):
    """A program that ends at once is not a Valkey."""
    monkeypatch.setattr(valkey, "find_valkey", lambda: shutil.which("false"))
    assert doctor.valkey().mark is Mark.BAD


def test_kernel_of_another_python_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A kernel that somebody registered for the user hides this environment's own."""
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = ["/another/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor.kernel_spec()
    assert finding.mark is Mark.BAD
    assert "/another/bin/python" in finding.what
    argv[0] = sys.executable
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x"}))
    assert doctor.kernel_spec().mark is Mark.GOOD


def test_kernel_that_does_not_start_is_an_illness(tmp_path: Path, monkeypatch):
    """A kernel that ends at once is reported, not waited for."""
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = {"argv": [shutil.which("false")], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert doctor.kernel().mark is Mark.BAD


def test_missing_browser_is_a_note(monkeypatch: pytest.MonkeyPatch):
    """No lesson's thread needs Chromium."""
    monkeypatch.setenv("PATH", "")
    assert doctor.chromium().mark is Mark.NOTE


def test_missing_nginx_is_a_note(monkeypatch: pytest.MonkeyPatch):
    """No lesson's thread needs nginx; where it is missing, the line says how to get it."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    finding = doctor.nginx()
    assert finding.mark is Mark.NOTE
    assert "apt install nginx" in finding.cure
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/nginx")
    assert doctor.nginx().mark is Mark.GOOD
