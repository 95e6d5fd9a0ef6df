"""What patching the loop does to a notebook, in kernels of their own."""

import asyncio

from labkit.testing.kernels import RealKernel
from labkit.workbench.nesting import run_all


async def test_one_patch_loses_a_cell_and_the_other_keeps_it():
    """Under ipykernel 7, Run All over an `asyncio.run` loses the next cell with nest_asyncio."""
    lost, kept = await asyncio.gather(run_all("nest_asyncio"), run_all("nest_asyncio2"))
    assert lost == {"first cell": "ran", "second cell": "never ran"}
    assert kept == {"first cell": "ran", "second cell": "ran"}


def test_the_helper_applies_the_maintained_one():
    """After it, and only then, synchronous code may call `asyncio.run` in a kernel."""
    with RealKernel() as kernel:
        kernel.run("import asyncio\nfrom labkit.workbench.nesting import allow_nested_run")
        kernel.run("coroutine = asyncio.sleep(0, 'slept')")
        assert "RuntimeError" in kernel.finish(kernel.start("asyncio.run(coroutine)")).error
        assert kernel.run("allow_nested_run()").result == "'nest_asyncio2'"
        assert kernel.run("asyncio.run(asyncio.sleep(0, 'slept'))").result == "'slept'"
