"""Exercise 7.3: fifty listeners, one subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

SETTLED = 4
Queues = list["asyncio.Queue[bytes]"]
FanOut = Callable[[Any, str, Queues], Awaitable[None]]

exercise = Exercise[FanOut](
    "7.3",
    title="fifty listeners, one subscription",
    hints=(
        "One `redis.pubsub()`, one `subscribe`, one loop for the whole process.",
        "`async for message in pubsub.listen()` also yields the confirmation: look at `type`.",
        "`put_nowait` never waits. When a queue is full, drop its oldest: `get_nowait` first.",
    ),
)


@exercise.solution
async def fan_out(redis: Any, channel: str, queues: list[asyncio.Queue[bytes]]) -> None:
    """Put every message of the channel into every queue, until cancelled; wait for none."""
    # hole: subscribe once; for each message, into each queue; a full one loses its oldest
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            if message["type"] == "message":
                for queue in queues:
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(message["data"])
    # end


@exercise.wrong("a connection for each listener")
async def one_each(redis: Any, channel: str, queues: Queues) -> None:
    """Subscribe once for each queue."""

    async def listen(queue: asyncio.Queue[bytes]) -> None:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(message["data"])

    async with asyncio.TaskGroup() as tasks:
        for queue in queues:
            tasks.create_task(listen(queue))


@exercise.wrong("the slow one holds up the others")
async def waits(redis: Any, channel: str, queues: Queues) -> None:
    """Wait for room in every queue."""
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            if message["type"] == "message":
                for queue in queues:
                    await queue.put(message["data"])


@exercise.wrong("the confirmation is no message")
async def hands_out_everything(redis: Any, channel: str, queues: Queues) -> None:
    """Forget to look at the type."""
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            for queue in queues:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(message["data"])


@exercise.check
async def check(fan_out: FanOut) -> None:
    """Fifty queues, one of them tiny and never emptied; ten messages through a real Valkey."""
    with ValkeyServer() as server:
        redis = Redis.from_url(server.url)
        queues: Queues = [asyncio.Queue(2), *(asyncio.Queue() for _ in range(49))]
        task = asyncio.ensure_future(fan_out(redis, "news", queues))
        try:
            with scene("`fan_out` on a channel", because="nobody has subscribed to it"):
                await _subscribed(redis, task)
            if task.done():
                await task
            clients = await redis.client_list(_type="pubsub")
            expect(len(clients) <= 2, given="50 queues", got=f"{len(clients)} connections",
                   because="a connection for each listener: one is enough")  # fmt: skip
            for n in range(10):
                await redis.publish("news", str(n))
            await _delivered(queues)
        finally:
            task.cancel()
            await asyncio.wait({task})
            await redis.aclose()


async def _subscribed(redis: Redis, task: asyncio.Future[None]) -> None:
    """Wait until somebody has subscribed, and nobody does any more."""
    before, same = 0, 0
    async with asyncio.timeout(2):
        while not task.done() and same < SETTLED:
            ((_, now),) = await redis.pubsub_numsub("news")
            same = same + 1 if now and now == before else 0
            before = now
            await asyncio.sleep(0.005)


async def _delivered(queues: Queues) -> None:
    given = "10 messages, a tiny queue that nobody empties"
    because = "the slow one holds up the others: never wait for a queue"
    with scene(given, because=because):
        await until(lambda: all(queue.qsize() >= 10 for queue in queues[1:]), timeout_s=1)
    numbers = [[queues[n].get_nowait() for _ in range(queues[n].qsize())] for n in range(50)]
    wanted = [str(n).encode() for n in range(10)]
    because = "the confirmation is no message: look at `type`"
    expect_equal(numbers[1], wanted, given=given, because=because)
    because = "a full queue keeps its newest"
    expect_equal(numbers[0], wanted[-2:], given="the tiny queue", because=because)
