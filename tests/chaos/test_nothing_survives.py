"""Whatever happens to a kernel, nothing of the lab outlives it: no port, no Valkey, no orphan."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from labkit.testing.kernels import RealKernel

LAB = """
from fastapi import FastAPI, WebSocket
from labkit.testing.frozen import FrozenClient
from labkit.workbench.kernel import sh
from labkit.workbench.lab import Lab
app = FastAPI()

@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive()

lab = await Lab.start(chapter=1)
server = await lab.serve(app)
valkey = lab.valkey()
frozen = lab.track(await FrozenClient.connect(server.ws_url + "/ws"))
frozen.freeze()
print(server.port, valkey.port, flush=True)
"""


def kill_alone(kernel: RealKernel) -> None:
    """Kill the kernel's process and nothing else, as the system's memory killer does."""
    os.kill(kernel.pid, signal.SIGKILL)


@pytest.fixture(params=[RealKernel.restart, RealKernel.shutdown, kill_alone])
def end(request):
    """Give each way in which a kernel ends."""
    return request.param


def test_nothing_survives_the_kernel(end):
    """After a restart, a shutdown and kill -9, its ports are free and its children are gone."""
    with RealKernel() as kernel:
        ports = [int(port) for port in kernel.run(LAB, timeout_s=50).stdout.split()]
        hanging = kernel.start("print('begun', flush=True)\nawait sh('sleep 600', timeout_s=600)")
        kernel.wait_for(lambda: hanging.stdout, "the cell did not begin")
        wait_until(lambda: "sleep" in {name_of(p) for p in family_of(kernel)}, "sleep is missing")
        family = family_of(kernel)
        assert {"valkey-server", "sleep"} <= {name_of(process) for process in family}
        end(kernel)
        wait_until(lambda: not alive(family), f"these survive: {alive(family)}")
        assert [port for port in ports if listens(port)] == []


def test_closing_the_lab_ends_every_child():
    """After `lab.close()` the kernel has no child process left."""
    with RealKernel() as kernel:
        kernel.run(LAB, timeout_s=50)
        assert family_of(kernel)
        closed = kernel.run("await lab.close()").result
        assert closed == "0 servers · 0 tasks · 0 sockets left"
        assert family_of(kernel) == []


def test_a_program_that_is_killed_takes_its_valkey_along():
    """Not only kernels: a plain program that dies leaves no Valkey."""
    code = (
        "from labkit.testing.valkey import ValkeyServer; import time\n"
        "server = ValkeyServer().start(); print(server.port, flush=True); time.sleep(600)"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    port = int(program.stdout.readline())
    assert listens(port)
    program.kill()
    program.wait(10)
    program.stdout.close()
    wait_until(lambda: not listens(port), "Valkey survives")


def family_of(kernel: RealKernel) -> list[psutil.Process]:
    """Return the living children of a kernel, and theirs."""
    return alive(psutil.Process(kernel.pid).children(recursive=True))


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that run; a zombie does not."""
    return [p for p in processes if p.is_running() and name_of(p)]


def name_of(process: psutil.Process) -> str:
    """Return the name of a process; empty for one that has ended."""
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return ""


def listens(port: int) -> bool:
    """Return whether somebody accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, complaint: str, timeout_s: float = 15) -> None:
    """Poll a condition with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)
