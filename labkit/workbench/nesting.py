"""What patching the event loop does to a notebook, shown in kernels of their own.

`nest_asyncio` lets `asyncio.run` be called while a loop runs. It patches the loop for good, so no
lesson does that in its own kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util

from labkit.testing.kernels import RealKernel

PATIENCE_S = 1.0
BUSY_CELL = "asyncio.run(asyncio.sleep(0.2))"


def allow_nested_run() -> str:
    """Let synchronous code call `asyncio.run` in this kernel from now on; cannot be undone.

    A thread needs no patch: prefer `await asyncio.to_thread(function)` where you can.

    Returns:
        The name of the package that did it: `nest_asyncio2`, which is maintained, if there is one.
    """
    there = importlib.util.find_spec("nest_asyncio2") is not None
    name = "nest_asyncio2" if there else "nest_asyncio"
    importlib.import_module(name).apply()
    return name


async def run_all(patch: str) -> dict[str, str]:
    """Send two cells at once to a kernel that `patch` has patched, as *Run All* does.

    The first one sleeps inside `asyncio.run`.

    Returns:
        What became of the first and the second: "ran" or "never ran".
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, _two_cells, patch)  # in a context of its own


def _two_cells(patch: str) -> dict[str, str]:
    try:
        with RealKernel() as kernel:
            kernel.run(f"import asyncio, {patch}\n{patch}.apply()")
            cells = [kernel.start(BUSY_CELL), kernel.start("print('second')")]
            kernel.finish(cells[0])
            with contextlib.suppress(TimeoutError):
                kernel.finish(cells[1], PATIENCE_S)
    finally:
        asyncio.get_event_loop().close()  # jupyter_client has made one for this thread
        asyncio.set_event_loop(None)
    fates = ["ran" if cell.done else "never ran" for cell in cells]
    return dict(zip(("first cell", "second cell"), fates, strict=True))
