"""A warm process that runs real pytest on demand: everything is imported, each run is a fork.

pytest, FastAPI and labkit take two seconds to import. This process does it once, then waits at a
Unix socket. Each connection is one run: it is forked, so that no run sees another, and it tells
its outcomes as lines of JSON. `pytestrun` is the other end.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

OPTIONS: tuple[str, ...] = ("-q", "--color=no", "-c", os.devnull, "-p", "anyio")
OPTIONS += tuple(
    part
    for name in ("cacheprovider", "warnings", "faulthandler", "unraisableexception")
    for part in ("-p", f"no:{name}")
)
MODES = {True: "auto", False: "strict"}
WARM = (
    "fastapi.testclient",
    "sse_starlette",
    "labkit.testing.fixtures",
    "labkit.workbench.judging",
)
WARM_TEST = "async def test_warm(serve):\n    assert True\n"
TICK_S = 0.05
WORK_S = 0.005  # of CPU time in a tick: less is doing nothing


class Reporter:
    """Writes one line for each test, and ends the process when one hangs.

    Args:
        lines: where the lines go.
        idle_s: seconds of doing nothing after which a test counts as hanging. On a busy machine
            a test may take long and still be at work; so this counts what the process does.
    """

    def __init__(self, lines: IO[str], idle_s: float) -> None:
        self._lines = lines
        self._idle_s = idle_s
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    def say(self, kind: str, name: str = "", text: str = "") -> None:
        """Write one line."""
        print(json.dumps([kind, name, text]), file=self._lines, flush=True)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell what is going to be run."""
        for item in session.items:
            self.say("collected", item.name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell when a file cannot even be read."""
        if report.failed:
            self.say("error", "the file", str(report.longrepr).strip().splitlines()[-1])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Start to watch."""
        self._ended.clear()
        name = nodeid.partition("::")[2]
        self._watcher = threading.Thread(target=self._watch, args=[name], daemon=True)
        self._watcher.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a test, its set-up or its clean-up ended."""
        if report.when == "call" or not report.passed:
            place = "" if report.when == "call" else f"in its {report.when}: "
            self.say(report.outcome, report.nodeid.partition("::")[2], place + _cause(report))

    def pytest_runtest_logfinish(self) -> None:
        """Stop to watch."""
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self, name: str) -> None:
        """End the process when the test does nothing for too long."""
        since_s, used_s = time.monotonic(), time.process_time()
        while not self._ended.wait(TICK_S):
            now_s, now_used_s = time.monotonic(), time.process_time()
            if now_used_s - used_s > WORK_S:
                since_s = now_s
            elif now_s - since_s > self._idle_s:
                self.say("hung", name)
                os._exit(1)
            used_s = now_used_s


def _cause(report: pytest.TestReport) -> str:
    """Return the first line of what went wrong: the exception, without where it was."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr or "").strip()
    return text.splitlines()[0].removeprefix("Failed: ") if text else ""


def run(job: dict[str, Any], lines: IO[str]) -> None:
    """Run one job: `folder` with the tests, `plugins`, `auto`, `idle_s`."""
    plugins = [part for name in job["plugins"] for part in ("-p", name)]
    mode = ("-o", f"anyio_mode={MODES[job['auto']]}", "--rootdir", job["folder"])
    reporter = Reporter(lines, job["idle_s"])
    pytest.main([*OPTIONS, *plugins, *mode, job["folder"]], plugins=[reporter])
    reporter.say("end")


def _warm_up() -> None:
    """Import what a run imports, by one run, so that the forks need not."""
    for module in WARM:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        Path(folder, "test_warm.py").write_text(WARM_TEST)
        job = {"folder": folder, "plugins": WARM[2:], "auto": True, "idle_s": 60.0}
        run(job, io.StringIO())
    gc.collect()
    gc.freeze()  # or a collection in a fork copies every page


def _silence() -> None:
    """Send what pytest and the tests print to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


def main(path: str) -> None:
    """Serve at a Unix socket until killed."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)  # whoever sees the path can connect
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve(connection)
            connection.close()


def _serve(connection: socket.socket) -> None:
    """Run the job that comes over a connection, and end this process."""
    with contextlib.suppress(BaseException):
        lines = connection.makefile("rw", encoding="utf-8")
        _silence()
        print(json.dumps(["pid", str(os.getpid()), ""]), file=lines, flush=True)
        run(json.loads(lines.readline()), lines)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
