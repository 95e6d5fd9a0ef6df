"""Make the clone's ``.venv`` and install labkit into it with exact versions.

The standard library alone. uv does the work where there is one or where pip can fetch it (seconds
instead of most of a minute); plain pip does it otherwise. Whatever goes wrong is told in one
sentence with its cure.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labkit.bootstrap import STAMP, is_fresh, python_version, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED_BYTES = 900_000_000  # .venv itself, and room for the installers to unpack
BUILDING = "being made\n"  # a stamp that matches nothing: the set-up was cut short
INTERRUPTED = 130  # what a shell reports after Ctrl-C
PIP_OPTIONS = ("--no-input", "--disable-pip-version-check", "--retries", "2", "-q")


class Cause(NamedTuple):
    """A known reason for a failed set-up."""

    code: int  # exit code, of sysexits.h
    symptoms: str  # a pattern that finds it in what pip, uv or Python wrote
    sentence: str


FULL = Cause(
    os.EX_IOERR,
    r"No space left|Disk quota exceeded",
    "the disk is full: free 1 GB where {root} is, and run it again",
)
LOCKED = Cause(
    os.EX_CANTCREAT,
    r"Permission denied|Read-only file system|Operation not permitted",
    "{root} cannot be written: clone into a folder of your own",
)
FOREIGN = Cause(
    os.EX_CANTCREAT, r"$^", "{root}/.venv is no virtual environment: move it away, and run it again"
)
UNTRUSTED = Cause(
    os.EX_UNAVAILABLE,
    r"UnknownIssuer|CERTIFICATE_VERIFY_FAILED",
    "the package index shows a certificate that is not trusted here: point SSL_CERT_FILE and"
    " PIP_CERT to your network's certificate file, and run it again",
)
OFFLINE = Cause(
    os.EX_UNAVAILABLE,
    r"error sending request|dns error|NewConnectionError|ProxyError|ConnectTimeout|timed out"
    r"|Network is unreachable|Network connectivity is disabled",
    "the package index cannot be reached: connect to the network (or set HTTPS_PROXY) and run it"
    " again; once set up, labkit works offline",
)
NO_PIP = Cause(
    os.EX_UNAVAILABLE,
    r"No module named '?(venv|pip|ensurepip)",
    "this Python has no venv or pip to install with: add them (Debian, Ubuntu:"
    " sudo apt install python3-venv) or install uv, and run it again",
)
UNKNOWN = Cause(1, r"", "the set-up failed: the installer's own words are above this line")
CAUSES = (FULL, LOCKED, UNTRUSTED, OFFLINE, NO_PIP, UNKNOWN)  # the first that matches


class SetupError(Exception):
    """The environment cannot be made, or a step on the way to it failed."""

    def __init__(self, cause: Cause, output: str = "") -> None:
        super().__init__(output)
        self.cause = cause


def main(root: str) -> int:
    """Make ``.venv`` in the clone, saying what is done.

    Returns:
        0, or the exit code of the failure that was told.
    """
    started = time.monotonic()
    try:
        with only_one(root):
            if not is_fresh(root):  # another labkit may have made it while this one waited
                make(Path(root))
    except KeyboardInterrupt:
        say("stopped; the next start begins again")
        return INTERRUPTED
    except (SetupError, OSError) as error:
        cause = error.cause if isinstance(error, SetupError) else diagnose(str(error))
        if cause is UNKNOWN:
            sys.stderr.write(f"{error}\n")
        say(cause.sentence.format(root=root))
        return cause.code
    say(f"ready in {time.monotonic() - started:.0f} s; the next start is immediate")
    return 0


def make(root: Path) -> None:
    """Make the environment, install into it, and stamp it as the very last step."""
    venv = root / ".venv"
    clear(venv)
    venv.mkdir(exist_ok=True)
    (venv / STAMP).write_text(BUILDING, "utf-8")
    python = venv / "bin" / "python"
    if not works(python):
        if shutil.disk_usage(root).free < NEEDED_BYTES:
            raise SetupError(FULL)
        say(f"making .venv with Python {python_version()}")
        run(sys.executable, "-m", "venv", "--without-pip", venv)
    install(root, python)
    (venv / STAMP).write_text(stamp(str(root)), "utf-8")


def clear(venv: Path) -> None:
    """Remove an environment that is outdated, was cut short, or does not run.

    One without a stamp was made by somebody else, with uv for example: it stays if it runs.
    """
    if not venv.exists():
        venv.unlink(missing_ok=True)  # a link to nowhere
        return
    stamped = (venv / STAMP).exists()
    if not stamped and not (venv / "pyvenv.cfg").exists():
        raise SetupError(FOREIGN)
    if stamped or not works(venv / "bin" / "python"):
        say("the .venv that is here is outdated or incomplete: making it anew")
        shutil.rmtree(venv)


def install(root: Path, python: Path) -> None:
    """Install labkit, editable, and what its tests need, in the versions of the constraints."""
    constraints = root / "labkit" / "constraints.txt"
    wanted = ("-c", constraints, "-e", f"{root}[test]")
    uv = shutil.which("uv") or fetch_uv(python, constraints)
    if uv:
        say("installing the packages with uv")
        try:
            return run_uv(uv, "pip", "install", "-q", "--python", python, *wanted)
        except SetupError as error:
            if error.cause in {FULL, LOCKED, OFFLINE}:
                raise
            say("uv could not: trying pip")
    pip = pip_for(python)
    say("installing the packages with pip (a minute or two)")
    return run(*pip, "install", *PIP_OPTIONS, *wanted)


def fetch_uv(python: Path, constraints: Path) -> str | None:
    """Install uv into the environment; return its path, or None where there is none to be had."""
    pip = pip_for(python)
    say("fetching uv")
    try:
        run(*pip, "install", *PIP_OPTIONS, "-c", constraints, "uv")
    except SetupError as error:
        if error.cause is not UNKNOWN:  # pip would fail on the other packages, too
            raise
        return None
    return str(python.with_name("uv"))


def run_uv(*command: object) -> None:
    """Run uv, once more with the system's certificates where its own do not fit the network."""
    try:
        run(*command)
    except SetupError as error:
        if error.cause is not UNTRUSTED:
            raise
        run(*command, UV_SYSTEM_CERTS="1", UV_NATIVE_TLS="1")  # the new name and the old


def pip_for(python: Path) -> tuple[object, ...]:
    """Find a pip that installs into the environment: its own, ensurepip's, or this Python's."""
    for prepare in ("pip --version", "ensurepip"):
        with contextlib.suppress(SetupError):  # Debian keeps ensurepip in python3-venv
            run(python, "-m", *prepare.split())
            return (python, "-m", "pip")
    run(sys.executable, "-m", "pip", "--version")
    return (sys.executable, "-m", "pip", "--python", python)


def works(python: Path) -> bool:
    """Tell whether an environment's interpreter runs and is of this Python's version."""
    probe = "import sys; assert sys.version_info[:2] == ({}, {})".format(*sys.version_info)
    try:
        run(python, "-c", probe)
    except (SetupError, OSError):
        return False
    return True


def run(*command: object, **environment: str) -> None:
    """Run a program to its end, quietly.

    Raises:
        SetupError: It failed; with the cause, as far as its output tells.
    """
    # An installer must not see the caller's import path, nor be told to install elsewhere.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    }
    done = subprocess.run(  # noqa: S603 - a list of our own making, no shell
        [str(part) for part in command],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise SetupError(diagnose(done.stdout), done.stdout)


def diagnose(output: str) -> Cause:
    """Find the cause of a failure in what an installer wrote."""
    return next(cause for cause in CAUSES if re.search(cause.symptoms, output))


@contextlib.contextmanager
def only_one(root: str) -> Iterator[None]:
    """Hold the clone, so that two set-ups started at the same time do not mix."""
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way here: waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def say(line: str) -> None:
    """Report progress on stderr, so that a command's own output stays clean."""
    sys.stderr.write(f"labkit: {line}\n")
    sys.stderr.flush()
