"""What a notebook's kernel needs so that servers can live in its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from labkit.testing.children import Watchdog

CHUNK_BYTES = 64 * 1024

# The command begins when its watchdog knows it: should the kernel die between the spawn and that
# moment, the shell reads the end of its input, and ends.
AT_OUR_WORD = "read word || exit; exec </dev/null; "


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


async def sh(command: str, *, timeout_s: float = 10.0) -> None:
    """Run a shell command and print its output, while the event loop goes on.

    `!command` would block the loop, and with it every server in this kernel.

    Args:
        command: What to run, for example `curl -i http://…`.
        timeout_s: Deadline, in seconds. The command is killed then, with all it started.
    """
    with Watchdog() as watchdog:
        process = await asyncio.create_subprocess_shell(
            AT_OUR_WORD + command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        watchdog.guard(process.pid)
        _say_the_word(process)
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


def _say_the_word(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()


async def _read_all(process: asyncio.subprocess.Process, output: bytearray) -> None:
    """Add what the process prints to `output`, which keeps it when time runs out."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(CHUNK_BYTES):
        output += chunk
