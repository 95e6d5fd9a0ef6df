"""A meter for the memory of a process."""

import asyncio
import os
import sys

from labkit.testing.memory import MemoryMeter
from labkit.testing.waiting import until

TAKES = """
print("ready")
input()
block = b"x" * (64 << 20)
print("taken")
input()
del block
print("given")
"""


async def test_what_a_process_takes_is_seen():
    """Memory that is really used shows, also when it is given back before the end.

    It is a new process: an old one may give back what its tests have left, in the same moment.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        "-c",
        TAKES,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10):
        await child.stdout.readline()
        async with MemoryMeter(child.pid) as meter:
            child.stdin.write(b"take\n")
            await child.stdout.readline()
            seen = len(meter.samples)
            await until(lambda: len(meter.samples) > seen)
            child.stdin.write(b"give\n")
            await child.stdout.readline()
        child.stdin.close()
        assert await child.wait() == 0
    assert meter.grown_mib > 32


async def test_nothing_is_nothing():
    """The first sample is the floor."""
    async with MemoryMeter(os.getpid()) as meter:
        pass
    assert 0 <= meter.grown_mib < 16
    assert [each.at_s for each in meter.samples] == sorted(each.at_s for each in meter.samples)
