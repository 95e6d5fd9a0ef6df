"""Exercise 7.1: a writer that wakes on data, not on a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Send = Callable[[list[int]], Awaitable[None]]
Writer = Callable[["asyncio.Queue[int]", Send, int], Awaitable[None]]

MAX_ITEMS = 100
A_FEW_TURNS = 10

exercise = Exercise[Writer](
    "7.1",
    title="wake on data",
    hints=(
        "`await queue.get()` sleeps until there is something, and no longer.",
        "After the first one: what else is there already? `queue.get_nowait()` takes it.",
        "`while not queue.empty() and len(batch) < max_items` bounds the batch.",
    ),
)


@exercise.solution
async def writer(queue: asyncio.Queue[int], send: Callable[..., Any], max_items: int) -> None:
    """Send what is in the queue, in lists of at most `max_items`, until cancelled."""
    while True:
        # hole: wait for one, take what else is there, up to max_items, send the list
        batch = [await queue.get()]
        while not queue.empty() and len(batch) < max_items:
            batch.append(queue.get_nowait())
        await send(batch)
        # end


@exercise.wrong("it looks at a clock")
async def polls(queue: asyncio.Queue[int], send: Send, max_items: int) -> None:
    """Look every tenth of a second, as the guide does."""
    while True:
        batch: list[int] = []
        while not queue.empty() and len(batch) < max_items:
            batch.append(queue.get_nowait())
        if batch:
            await send(batch)
        await asyncio.sleep(0.1)


@exercise.wrong("each message is a frame of its own")
async def one_by_one(queue: asyncio.Queue[int], send: Send, max_items: int) -> None:
    """Wake on data, and never look for more."""
    while True:
        await send([await queue.get()])


@exercise.wrong("a batch without a bound")
async def takes_all(queue: asyncio.Queue[int], send: Send, max_items: int) -> None:
    """Take everything there is."""
    while True:
        batch = [await queue.get()]
        while not queue.empty():
            batch.append(queue.get_nowait())
        await send(batch)


@exercise.wrong("it waits for a full batch")
async def waits_for_more(queue: asyncio.Queue[int], send: Send, max_items: int) -> None:
    """Send full batches only."""
    while True:
        await send([await queue.get() for _ in range(max_items)])


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@exercise.check
async def check(writer: Writer) -> None:
    """One message alone, then a thousand at once."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    sent: list[list[int]] = []

    async def send(batch: list[int]) -> None:
        sent.append(list(batch))
        await asyncio.sleep(0)

    task = asyncio.ensure_future(writer(queue, send, MAX_ITEMS))
    try:
        await turns(A_FEW_TURNS)
        queue.put_nowait(0)
        await turns(A_FEW_TURNS)
        if task.done():
            await task
        waits = "it waits for a full batch, which may never come"
        because = waits if queue.empty() else "it looks at a clock: let the data wake it"
        expect_equal(sent, [[0]], given="one message, and a few turns of the loop", because=because)
        for n in range(1, 1001):
            queue.put_nowait(n)
        await turns(3000)
        because = "the order, or some of them, are lost"
        expect_equal([n for batch in sent for n in batch], list(range(1001)),
                     given="a thousand at once", because=because)  # fmt: skip
        longest = max(map(len, sent))
        expect(longest <= MAX_ITEMS, given=f"at most {MAX_ITEMS}", got=f"{longest} in one list",
               because="a batch without a bound is a frame without a bound")  # fmt: skip
        expect(len(sent) <= 31, given="a thousand at once", got=f"{len(sent)} lists",
               because="each message is a frame of its own: take what is there")  # fmt: skip
    finally:
        task.cancel()
        await asyncio.wait({task})
