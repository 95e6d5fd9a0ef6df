"""Workers: what a job costs, how many a second, and whether those of one key keep their order."""

import asyncio
import time

from labkit.performance import Workers

KEYS, COUNT = 50, 10


async def pool(jobs, handle):
    """The guide's: one queue, ten tasks that take whatever comes next."""
    queue = asyncio.Queue()

    async def work():
        while True:
            await handle(await queue.get())
            queue.task_done()

    tasks = [asyncio.create_task(work()) for _ in range(COUNT)]
    for job in jobs:
        queue.put_nowait(job)
    await queue.join()
    for task in tasks:
        task.cancel()


async def lanes(jobs, handle):
    """Ours: a lane for each key."""
    async with Workers(handle, count=COUNT, max_waiting=len(jobs), drain_s=60) as workers:
        for job in jobs:
            assert workers.put(job[0], job)


async def run(bench):
    """Do jobs that cost nothing, then jobs that wait for something, some longer than others."""
    count = 200 if bench.small else 5000
    jobs = [(n // 4 % KEYS, n) for n in range(count)]  # four of a key in a row
    rows = []
    for name, work in (("guide", pool), ("labkit", lanes)):
        cpu_s = time.process_time()
        await work(jobs, nothing)
        cost_us = 1e6 * (time.process_time() - cpu_s) / count
        done, began = [], time.monotonic()
        await work(jobs, waiting(done))
        rate = count / (time.monotonic() - began)
        rows.append([name, f"{cost_us:.1f}", f"{rate:,.0f}", str(inversions(done))])
    head = ["", "CPU us a job", "jobs/s", "out of order"]
    bench.table(f"{count} jobs of {KEYS} keys, {COUNT} at once", head, rows)


async def nothing(_job):
    """Cost nothing."""


def waiting(done):
    """Make a handler that waits for 1 to 3 ms, a later job often less."""

    async def handle(job):
        await asyncio.sleep(0.001 * (3 - job[1] % 3))
        done.append(job)

    return handle


def inversions(done):
    """Count the jobs that were overtaken by a later one of their key."""
    last, count = {}, 0
    for key, n in done:
        count += n < last.get(key, -1)
        last[key] = max(n, last.get(key, -1))
    return count
