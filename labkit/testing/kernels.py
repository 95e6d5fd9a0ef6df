"""Drive a real notebook kernel from a test, cell by cell, as JupyterLab does."""

from __future__ import annotations

import os
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_client.blocking.client import BlockingKernelClient

READY_TIMEOUT_S = 50
POLL_S = 0.05


class CellError(Exception):
    """A cell raised; the message has the name and the message of its exception."""


@dataclass
class Cell:
    """What one cell has put out so far.

    Attributes:
        number: Number of the cell, from 1.
        stdout: Text printed.
        stderr: Text printed to stderr.
        result: Value of the last expression, as text.
        error: Name and message of the exception that ended it; empty when none did.
        done: Whether it has ended.
    """

    number: int
    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""
    done: bool = False


class RealKernel:
    """A kernel process and a client of it; use it as a context manager."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._client: BlockingKernelClient
        self._cells: dict[str, Cell] = {}

    def __enter__(self) -> Self:
        quiet = ["--log-level=ERROR"]  # or each start warns about TCP on this machine
        self._manager.start_kernel(extra_arguments=quiet, env=os.environ | {"LABKIT_CI": "1"})
        self._connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    @property
    def pid(self) -> int:
        """Process id of the kernel."""
        provisioner = self._manager.provisioner
        assert isinstance(provisioner, LocalProvisioner)
        assert provisioner.pid is not None
        return provisioner.pid

    def start(self, code: str) -> Cell:
        """Send a cell and return at once."""
        cell = Cell(len(self._cells) + 1)
        self._cells[self._client.execute(code, stop_on_error=False)] = cell
        return cell

    def finish(self, cell: Cell, timeout_s: float = 30) -> Cell:
        """Wait until a cell has ended, well or not.

        Raises:
            TimeoutError: It did not end in time.
        """
        self.wait_for(lambda: cell.done, f"cell {cell.number} did not end", timeout_s)
        return cell

    def run(self, code: str, timeout_s: float = 30) -> Cell:
        """Run a cell to its end.

        Raises:
            CellError: It raised.
            TimeoutError: It did not end in time.
        """
        cell = self.finish(self.start(code), timeout_s)
        if cell.error:
            raise CellError(cell.error)
        return cell

    def wait_for(
        self, condition: Callable[[], object], complaint: str, timeout_s: float = 30
    ) -> None:
        """Read what the kernel puts out until a condition holds.

        Raises:
            TimeoutError: It did not hold in time; the message is `complaint`.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{complaint} in {timeout_s:g} s")
            self._read()

    def interrupt(self) -> None:
        """Press the stop button."""
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """Restart, as the menu does."""
        self._client.stop_channels()
        self._manager.restart_kernel(now=False)
        self._connect()

    def shutdown(self) -> None:
        """Shut down, as closing the notebook does."""
        self._manager.shutdown_kernel(now=False)

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=READY_TIMEOUT_S)

    def _read(self) -> None:
        try:
            message = self._client.get_iopub_msg(timeout=POLL_S)
        except queue.Empty:
            return
        cell = self._cells.get(message["parent_header"].get("msg_id", ""))
        if cell is None:
            return
        content = message["content"]
        match message["msg_type"]:
            case "stream" if content["name"] == "stdout":
                cell.stdout += content["text"]
            case "stream":
                cell.stderr += content["text"]
            case "execute_result":
                cell.result = content["data"]["text/plain"]
            case "error":
                cell.error = f"{content['ename']}: {content['evalue']}"
            case "status":
                cell.done |= content["execution_state"] == "idle"
