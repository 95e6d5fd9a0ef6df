"""Exercise 7.4: the same key, the same worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count, pairwise

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

WorkerOf = Callable[[str, int], int]
WORKERS, KEYS, JOBS = 4, 41, 10

exercise = Exercise[WorkerOf](
    "7.4",
    title="same key, same worker",
    hints=(
        "The same key must give the same number, each time it is asked.",
        "`hash(key)` is the same as long as the process lives.",
        "`… % workers` makes any whole number a worker's.",
    ),
)


@exercise.solution
def worker_of(key: str, workers: int) -> int:
    """Return which of the workers, 0 to `workers - 1`, does the jobs of this key."""
    # hole: always the same one for a key, and all of them for many keys
    return hash(key) % workers
    # end


_turn = count()


@exercise.wrong("jobs of one key overtook each other")
def next_one(key: str, workers: int) -> int:
    """Take turns."""
    return next(_turn) % workers


@exercise.wrong("one worker does everything")
def the_first(key: str, workers: int) -> int:
    """Give all to one."""
    return 0


@exercise.wrong("there is no such worker")
def bare_hash(key: str, workers: int) -> int:
    """Forget how many there are."""
    return hash(key)


async def _run(worker_of: WorkerOf) -> tuple[dict[str, list[int]], int]:
    """Do all jobs with real workers; the first of them is slow, as one always is."""
    queues: list[asyncio.Queue[tuple[str, int]]] = [asyncio.Queue() for _ in range(WORKERS)]
    done: dict[str, list[int]] = {}
    for n in range(JOBS):
        for key in range(KEYS):
            number = worker_of(f"account {key}", WORKERS)
            real = isinstance(number, int) and 0 <= number < WORKERS
            expect(real, given=f"{WORKERS} workers", got=number, because="there is no such worker")
            queues[number].put_nowait((f"account {key}", n))
    used = sum(not queue.empty() for queue in queues)

    async def work(queue: asyncio.Queue[tuple[str, int]], turns: int) -> None:
        while not queue.empty():
            key, n = queue.get_nowait()
            for _ in range(turns):
                await asyncio.sleep(0)
            done.setdefault(key, []).append(n)

    await asyncio.gather(*map(work, queues, (10, 1, 1, 1)))
    return done, used


@exercise.check
async def check(worker_of: WorkerOf) -> None:
    """Many accounts, ten jobs each, four workers at once."""
    done, used = await _run(worker_of)
    inversions = sum(a > b for jobs in done.values() for a, b in pairwise(jobs))
    expect_equal(inversions, 0, given=f"{KEYS} accounts, {JOBS} jobs each",
                 because="jobs of one key overtook each other")  # fmt: skip
    expect(used > 1, given=f"{KEYS} accounts", got=f"{used} of {WORKERS} workers at work",
           because="one worker does everything: spread the keys")  # fmt: skip
