"""A server in a process of its own: the only place where a real signal can be received."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from labkit.testing.address import HOST, Addressed, free_port
from labkit.testing.children import Child
from labkit.testing.outcomes import Silence
from labkit.testing.server import StartupError

POLL_S = 0.02
Program = Callable[[int], object]


class ServerProcess(Addressed):
    """Run a server program in a process of its own, to be signalled and watched.

    Args:
        program: A function of the port, which serves until it is told to end. Its source is run
            in a new Python, so it imports what it needs itself. Or the arguments for Python, with
            `{port}` where the port goes.
        env: Variables of its environment beside ours. `{folder}` in a value is a folder of its
            own, which is removed with it.
        parts: Further functions that the program uses; their source goes before it.
        start_timeout_s: Seconds until it has to accept connections.
    """

    def __init__(
        self,
        program: Program | Sequence[str],
        *,
        parts: Sequence[Callable[..., object]] = (),
        env: Mapping[str, str] | None = None,
        start_timeout_s: float = 20.0,
    ) -> None:
        self.port = 0
        self._program = program
        self._parts = parts
        self._env = env or {}
        self._start_timeout_s = start_timeout_s
        self._child: Child | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-")
        self._output = Path(self._folder.name, "output")

    @property
    def folder(self) -> Path:
        """Folder of its own, removed at the end."""
        return Path(self._folder.name)

    @property
    def pid(self) -> int:
        """Process id, while it runs."""
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._child is not None and self._child.running

    @property
    def lines(self) -> list[str]:
        """What it has written to stdout and stderr so far."""
        return self._output.read_text().splitlines() if self._output.exists() else []

    async def start(self) -> Self:
        """Start, and return when it accepts connections; started again, it keeps its port.

        Raises:
            StartupError: It ended, or was not ready in time; the message has its last line.
        """
        self.kill()
        self.port = self.port or free_port()
        argv = [each.replace("{port}", str(self.port)) for each in self._arguments()]
        env = {k: v.replace("{folder}", self._folder.name) for k, v in self._env.items()}
        with self._output.open("wb") as output:
            self._child = Child([sys.executable, "-u", *argv], output=output, env=env)
        try:
            await self._await_start(self._child)
        except BaseException:
            await self.aclose()
            raise
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        os.kill(self.pid, number)

    async def ended(self, *, timeout_s: float = 10.0) -> int:
        """Wait until it has ended; return its exit code, negative for a signal.

        Raises:
            Silence: It runs on.
        """
        assert self._child is not None
        try:
            async with asyncio.timeout(timeout_s):
                while self._child.running:  # noqa: ASYNC110 - nothing tells when a process ends
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise Silence(f"the process still runs after {timeout_s:g} s") from error
        return int(self._child.process.returncode)

    def kill(self) -> None:
        """Kill it and its children (SIGKILL)."""
        if self._child is not None:
            self._child.kill()

    async def aclose(self) -> None:
        """Kill it if it still runs, and remove what it wrote. A second call does nothing."""
        self.kill()
        self._child = None
        self._folder.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ServerProcess({'running' if self.running else 'ended'})"

    def _arguments(self) -> Sequence[str]:
        if not callable(self._program):
            return self._program
        functions = [*self._parts, self._program]
        source = [textwrap.dedent(inspect.getsource(each)) for each in functions]
        source.append(f"import sys\n\n{self._program.__name__}(int(sys.argv[1]))\n")
        script = Path(self._folder.name, "program.py")
        script.write_text("\n\n".join(source))
        return [str(script), "{port}"]

    async def _await_start(self, child: Child) -> None:
        """Wait until it accepts connections, or ends, or takes too long."""
        deadline = time.monotonic() + self._start_timeout_s
        while not await accepts(self.port):
            if not child.running:
                raise StartupError(f"the program ended: {self._last_line()}")
            if time.monotonic() > deadline:
                limit = f"{self._start_timeout_s:g} s"
                raise StartupError(f"the program accepts no connection after {limit}")
            await asyncio.sleep(POLL_S)

    def _last_line(self) -> str:
        return next(reversed(self.lines), "it said nothing")


async def accepts(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of 127.0.0.1."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
