"""Look at the process itself to see what a lesson or a test has left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SETTLE_S = 0.5
POLL_S = 0.01
FD_DIRECTORY = Path("/dev/fd")
# Packages whose tasks are those of the kernel, or of pytest's asynchronous runner.
HOSTS = ("ipykernel", "IPython", "tornado", "zmq", "anyio", "_pytest")


@dataclass(frozen=True)
class Leftovers:
    """What is still there, by name; false when everything was cleaned up.

    Its repr is one line that is the same in every run.
    """

    servers: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.servers or self.tasks or self.sockets or self.processes)

    def __repr__(self) -> str:
        counts = [
            _count(self.servers, "server", "servers"),
            _count(self.tasks, "task", "tasks"),
            _count(self.sockets, "socket", "sockets"),
        ]
        if self.processes:
            counts.append(_count(self.processes, "process", "processes"))
        names = Counter((*self.servers, *self.tasks, *self.sockets, *self.processes))
        listed = ", ".join(f"{n} times {name}" if n > 1 else name for name, n in names.items())
        return " · ".join(counts) + " left" + (f": {listed}" if listed else "")


class Census:
    """What the process had when a lesson or a test began: tasks, sockets, child processes."""

    def __init__(self) -> None:
        self._tasks = WeakSet(asyncio.all_tasks())
        self._sockets = {inode for inode, _ in _sockets()}
        self._children = {pid for pid, _ in _children()}

    async def leftovers(self, ports: Mapping[int, str] | None = None) -> Leftovers:
        """Return what has come since and is still there when everything has settled.

        Args:
            ports: Names of one's own ports. A connected socket counts only when one of its ends
                is among them: a notebook kernel's own sockets come and go as well. Without it
                every socket counts.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + SETTLE_S
        while (left := self._left(ports)) and clock() < deadline:  # noqa: ASYNC110 - nothing tells when a socket goes
            await asyncio.sleep(POLL_S)
        return left

    def _left(self, ports: Mapping[int, str] | None) -> Leftovers:
        known = {*self._tasks, asyncio.current_task()}
        tasks = (_task_name(task) for task in asyncio.all_tasks() if task not in known)
        sockets = (_socket_name(s, ports) for inode, s in _sockets() if inode not in self._sockets)
        children = (name for pid, name in _children() if pid not in self._children)
        return Leftovers(
            tasks=tuple(sorted(filter(None, tasks))),
            sockets=tuple(sorted(filter(None, sockets))),
            processes=tuple(sorted(children)),
        )


def reset_sse_starlette() -> None:
    """Take back what sse-starlette keeps for the whole process, if it is in use.

    Its shutdown flag stays set once set, and then ends every later stream. Its watcher task looks
    for a server that owns SIGTERM, and never ends; the next stream starts a new one.
    """
    module = sys.modules.get("sse_starlette.sse")
    if module is None:
        return
    module.AppStatus.should_exit = False
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "_shutdown_watcher":
            task.cancel()


def _count(things: tuple[str, ...], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _task_name(task: asyncio.Task[object]) -> str:
    """Return the name of a task, or of its function; empty for one of the host's own."""
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    if code is not None and any(f"{os.sep}{host}{os.sep}" in code.co_filename for host in HOSTS):
        return ""
    given = task.get_name()  # asyncio numbers the others, and numbers differ from run to run
    name = getattr(coroutine, "__qualname__", "") if given.startswith("Task-") else given
    return f"task {name}"


def _socket_name(sock: socket.socket, ports: Mapping[int, str] | None) -> str:
    """Return what a socket is to the one who asks; empty when it is none of their business."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "listening socket"
    if ports is None:
        return "connected socket"
    ends = [sock.getsockname()]
    with contextlib.suppress(OSError):  # not connected any more
        ends.append(sock.getpeername())
    names = [ports[end[1]] for end in ends if end[1] in ports]
    return f"socket of {names[0]}" if names else ""


def _sockets() -> Iterator[tuple[int, socket.socket]]:
    """Yield inode and a copy of every TCP socket that this process has open."""
    for entry in FD_DIRECTORY.iterdir():
        try:
            status = os.fstat(int(entry.name))
            if not stat.S_ISSOCK(status.st_mode):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as sock:
                if sock.family in {socket.AF_INET, socket.AF_INET6}:
                    yield status.st_ino, sock
        except OSError:
            continue  # closed since it was listed, like the descriptor of the list itself


def _children() -> Iterator[tuple[int, str]]:
    """Yield pid and program of every living child process, where the system tells (Linux)."""
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(pid) for pid in listing.read_text().split()]
        except OSError:
            continue  # the thread has ended
        for pid in pids:
            try:
                name, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            except OSError:
                continue
            if not fields.strip().startswith("Z"):
                yield pid, name.partition("(")[2]
