"""What a kernel needs: a stop button that works while a cell awaits, and a shell that lets it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import psutil
import pytest

from labkit.testing.kernels import RealKernel
from labkit.workbench.kernel import AT_OUR_WORD, sh

IDLE_CELL = """
import asyncio
from labkit.workbench.kernel import make_interruptible
make_interruptible()
print("idle", flush=True)
await asyncio.Event().wait()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows interrupts in another way")
def test_the_stop_button_works_while_nothing_happens():
    """A cell that awaits in an otherwise idle loop can be interrupted, and the kernel lives on."""
    with RealKernel() as kernel:
        cell = kernel.start(IDLE_CELL)
        kernel.wait_for(lambda: cell.stdout == "idle\n", "the cell did not begin")
        time.sleep(0.3)  # let the loop fall asleep: an interrupt before that always worked
        kernel.interrupt()
        assert kernel.finish(cell, 10).error
        assert kernel.run("1 + 1").result == "2"


async def test_sh_prints_what_the_command_prints(capsys):
    """Output and errors of the command are printed in their order."""
    await sh("echo one; echo two >&2; echo three")
    assert capsys.readouterr() == ("one\ntwo\nthree\n", "")


async def test_sh_does_not_block_the_loop(capsys):
    """While the command runs, other tasks do."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    talk = f'import socket; print(socket.create_connection(("127.0.0.1", {port}), 5).recv(1))'
    await sh(f"{sys.executable} -c '{talk}'")
    server.close()
    assert capsys.readouterr().out == "b''\n"


async def test_sh_tells_a_failure(capsys):
    """A status other than 0 is the last line."""
    await sh("echo before; exit 3")
    assert capsys.readouterr().out == "before\nexit status 3\n"


async def test_sh_kills_at_its_deadline_what_the_command_started(capsys):
    """At the deadline the whole group is killed, and what was printed until then is shown."""
    before = set(psutil.Process().children(recursive=True))
    await sh("echo begun; sleep 600 | sleep 600", timeout_s=0.3)
    assert capsys.readouterr().out == "begun\nkilled after 0.3 s\n"
    assert set(psutil.Process().children(recursive=True)) == before


async def test_a_cancelled_sh_leaves_no_process():
    """Interrupting the cell ends the command."""
    before = set(psutil.Process().children(recursive=True))
    running = asyncio.create_task(sh("sleep 600"))
    async with asyncio.timeout(5):
        while len(psutil.Process().children(recursive=True)) < len(before) + 2:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert set(psutil.Process().children(recursive=True)) == before


def test_a_command_does_not_begin_when_nobody_says_the_word():
    """A kernel that died between the spawn and the watchdog leaves no command behind."""
    command = ["/bin/sh", "-c", AT_OUR_WORD + "echo begun"]
    ended = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")
