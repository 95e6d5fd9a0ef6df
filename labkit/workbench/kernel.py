"""What a notebook's kernel needs so that servers can live in its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

from labkit.testing.children import Watchdog

CHUNK_BYTES = 64 * 1024


def make_interruptible() -> None:
    """Let the stop button interrupt a cell that awaits while nothing else happens.

    The kernel turns SIGINT into a callback on its loop, but nothing wakes a loop that sleeps in
    `select` (https://github.com/ipython/ipykernel/issues/881). asyncio sets the process's wakeup
    file descriptor when it handles any signal at all, and then every signal wakes the loop. SIGURG
    is one that does nothing by default and that nobody sends us.
    """
    with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGURG, _do_nothing)


def _do_nothing() -> None:
    """Handle SIGURG."""


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


async def sh(command: str, *, timeout_s: float = 10.0) -> None:
    """Run a shell command and print its output, while the event loop goes on.

    `!command` would block the loop, and with it every server in this kernel.

    Args:
        command: What to run, for example `curl -i http://…`.
        timeout_s: Deadline, in seconds. The command is killed then, with all it started.
    """
    with Watchdog() as watchdog:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        watchdog.guard(process.pid)
        output, verdict = bytearray(), ""
        try:
            async with asyncio.timeout(timeout_s):
                await _read_all(process, output)
                status = await process.wait()
                verdict = f"exit status {status}\n" if status else ""
        except TimeoutError:
            verdict = f"killed after {timeout_s:g} s\n"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    print(output.decode(errors="replace") + verdict, end="")


async def _read_all(process: asyncio.subprocess.Process, output: bytearray) -> None:
    """Add what the process prints to `output`, which keeps it when time runs out."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(CHUNK_BYTES):
        output += chunk
