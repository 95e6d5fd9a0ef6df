"""Exercise 7.5: stop, and account for every job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Stop = Callable[["asyncio.Queue[str]", "list[asyncio.Task[None]]", float], Awaitable[None]]

exercise = Exercise[Stop](
    "7.5",
    title="finish what was accepted",
    hints=(
        "`queue.join()` returns when every job was marked with `task_done`.",
        "It may never return: `asyncio.timeout` around it, and a TimeoutError that is caught.",
        "Then cancel the workers, and wait until they are gone: `asyncio.wait(tasks)`.",
    ),
)


@exercise.solution
async def stop(queue: asyncio.Queue[str], tasks: list[Any], timeout_s: float) -> None:
    """Let the workers finish the queue, but not longer than `timeout_s`; then end them."""
    # hole: join with a deadline; cancel; wait until they have ended
    try:
        async with asyncio.timeout(timeout_s):
            await queue.join()
    except TimeoutError:
        pass
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    # end


@exercise.wrong("accepted, and thrown away")
async def cancels_at_once(
    queue: asyncio.Queue[str], tasks: list[asyncio.Task[None]], timeout_s: float
) -> None:
    """Cancel first."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@exercise.wrong("one job that hangs keeps the process")
async def waits_for_ever(
    queue: asyncio.Queue[str], tasks: list[asyncio.Task[None]], timeout_s: float
) -> None:
    """Forget the deadline."""
    await queue.join()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@exercise.wrong("workers are left behind")
async def leaves_them(
    queue: asyncio.Queue[str], tasks: list[asyncio.Task[None]], timeout_s: float
) -> None:
    """Cancel nobody."""
    try:
        async with asyncio.timeout(timeout_s):
            await queue.join()
    except TimeoutError:
        pass


@exercise.wrong("it returned before they had ended")
async def does_not_wait(
    queue: asyncio.Queue[str], tasks: list[asyncio.Task[None]], timeout_s: float
) -> None:
    """Cancel, and leave."""
    try:
        async with asyncio.timeout(timeout_s):
            await queue.join()
    except TimeoutError:
        pass
    for task in tasks:
        task.cancel()


async def _scene(stop: Stop, jobs: list[str], timeout_s: float) -> tuple[list[str], int, int]:
    """Run three workers and stop them; return what was done, who is left, who was awaited."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    done: list[str] = []

    async def work() -> None:
        while True:
            job = await queue.get()
            try:
                await (asyncio.Event().wait() if job == "hang" else asyncio.sleep(0.001))
                done.append(job)
            finally:
                queue.task_done()

    tasks = [asyncio.ensure_future(work()) for _ in range(3)]
    for job in jobs:
        queue.put_nowait(job)
    try:
        async with asyncio.timeout(2):
            await stop(queue, tasks, timeout_s)
        awaited = sum(task.done() for task in tasks)
        await asyncio.sleep(0)
        return done, awaited, sum(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@exercise.check
async def check(stop: Stop) -> None:
    """Thirty quick jobs, then a job that never ends."""
    done, awaited, ended = await _scene(stop, ["quick"] * 30, 1.0)
    expect_equal(len(done), 30, given="30 quick jobs", because="accepted, and thrown away")
    expect_equal(ended, 3, given="3 workers", because="workers are left behind: cancel them")
    expect_equal(awaited, 3, given="3 workers", because="it returned before they had ended")
    try:
        done, awaited, _ = await _scene(stop, ["hang", *["quick"] * 10], 0.1)
    except TimeoutError:
        because = "one job that hangs keeps the process for ever: give `join` a deadline"
        expect(False, given="a job that hangs, 0.1 s", got="still waiting after 2 s",
               because=because)  # fmt: skip
    expect_equal(len(done), 10, given="a job that hangs and 10 quick ones",
                 because="the quick ones could have been finished")  # fmt: skip
