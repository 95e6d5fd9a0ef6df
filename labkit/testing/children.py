"""Child processes that never outlive the process that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, Self

STOP_TIMEOUT_S = 3.0

# Reads a process group from its first line, then blocks until its standard input ends. We hold the
# other end, and the system closes that when we die, by `kill -9` too. It works wherever there is a
# shell; Linux's PR_SET_PDEATHSIG would also fire when only the thread that made the child ends.
WATCHDOG = "trap '' HUP INT TERM; read group; read _; kill -9 -$group"


class Watchdog:
    """Kills a process group as soon as this process is gone, however it went."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a constant
            ["/bin/sh", "-c", WATCHDOG],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def guard(self, group: int) -> None:
        """Watch over a process group; one watchdog guards one group."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % group)
        self._process.stdin.flush()

    def dismiss(self) -> None:
        """End the watch, before the group's id can belong to somebody else."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.dismiss()


class Child:
    """A process in a process group of its own, with a watchdog.

    The group keeps it out of reach of Ctrl-C and of a notebook's stop button, which signal the
    whole group of their process.

    Args:
        argv: Program and arguments.
        output: Where stdout and stderr go: a file, or one of subprocess's constants.
        env: Variables of its environment beside ours.

    Raises:
        OSError: The program cannot be run.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        output: int | IO[bytes],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._watchdog = Watchdog()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - labkit's own programs
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                process_group=0,
            )
        except BaseException:
            self._watchdog.dismiss()
            raise
        self._watchdog.guard(self.pid)

    @property
    def pid(self) -> int:
        """Process id, and process group id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended; a paused one has not."""
        return self.process.poll() is None

    def pause(self) -> None:
        """Freeze the group (SIGSTOP): its sockets stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen group go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the group (SIGKILL) and wait until the process is gone."""
        self._signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """Ask the group to end (SIGTERM), kill it when it does not; a second call does nothing."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(self.process.pid, number)

    def _reap(self) -> None:
        self.process.wait(STOP_TIMEOUT_S)
        self._watchdog.dismiss()
