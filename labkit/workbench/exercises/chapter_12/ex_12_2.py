"""Exercise 12.2: outlive the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, scene

Connect = Callable[[], Redis]
Listen = Callable[[Connect, Callable[[str], None], Callable[[], None]], Awaitable[None]]

PATIENCE_S = 0.8

exercise = Exercise[Listen](
    "12.2",
    title="outlive the broker",
    hints=(
        "`while True:` around it all; `except RedisError:` for the outage, with a pause.",
        "A new connection has no subscriptions: subscribe again, each time.",
        "`message['type']` is 'subscribe' when the server has confirmed, 'message' for the rest.",
        "The first confirmation is the start. Every later one means: something may be missing.",
    ),
)


@exercise.solution
async def listen_for_ever(
    connect: Callable[[], Redis], heard: Callable[[str], None], missed: Callable[[], None]
) -> None:
    """Hear the channel `hall` until cancelled, whatever happens to the broker.

    Call `heard(text)` for each message, and `missed()` after each outage, when it is over.
    """
    # hole: connect, subscribe, listen; after an error pause a moment, and all of it again
    before = False
    while True:
        async with connect() as client, client.pubsub() as channel:
            with suppress(RedisError):
                await channel.subscribe("hall")
                async for message in channel.listen():
                    if message["type"] == "message":
                        heard(message["data"])
                    elif before:
                        missed()
                    before = True
        await asyncio.sleep(0.05)
    # end


@exercise.wrong("nobody listens any more")
async def dies(connect: Connect, heard: Callable[[str], None], missed: Callable[[], None]) -> None:
    """Subscribe once, as if the broker were always there."""
    async with connect() as client, client.pubsub() as channel:
        await channel.subscribe("hall")
        async for message in channel.listen():
            if message["type"] == "message":
                heard(message["data"])


@exercise.wrong("one restart is not the last one")
async def tries_twice(
    connect: Connect, heard: Callable[[str], None], missed: Callable[[], None]
) -> None:
    """Give it a second chance, and no third."""
    for attempt in range(8):
        async with connect() as client, client.pubsub() as channel:
            with suppress(RedisError):
                await channel.subscribe("hall")
                async for message in channel.listen():
                    if message["type"] == "message":
                        heard(message["data"])
                    elif attempt:
                        missed()
        await asyncio.sleep(0.01)


@exercise.wrong("the gap is not told")
async def says_nothing(
    connect: Connect, heard: Callable[[str], None], missed: Callable[[], None]
) -> None:
    """Come back as if nothing had been."""
    while True:
        async with connect() as client, client.pubsub() as channel:
            with suppress(RedisError):
                await channel.subscribe("hall")
                async for message in channel.listen():
                    if message["type"] == "message":
                        heard(message["data"])
        await asyncio.sleep(0.05)


@exercise.wrong("nothing was missed yet")
async def cries_wolf(
    connect: Connect, heard: Callable[[str], None], missed: Callable[[], None]
) -> None:
    """Tell a gap at every confirmation, the first included."""
    while True:
        async with connect() as client, client.pubsub() as channel:
            with suppress(RedisError):
                await channel.subscribe("hall")
                async for message in channel.listen():
                    if message["type"] == "message":
                        heard(message["data"])
                    else:
                        missed()
        await asyncio.sleep(0.05)


@exercise.wrong("without a pause")
async def hammers(
    connect: Connect, heard: Callable[[str], None], missed: Callable[[], None]
) -> None:
    """Try again at once, and again, and again."""
    before = False
    while True:
        async with connect() as client, client.pubsub() as channel:
            with suppress(RedisError):
                await channel.subscribe("hall")
                async for message in channel.listen():
                    if message["type"] == "message":
                        heard(message["data"])
                    elif before:
                        missed()
                    before = True
        await asyncio.sleep(0)


@exercise.check
async def check(listen_for_ever: Listen) -> None:
    """A real Valkey that is killed, stays away for a moment, and comes back empty."""
    texts: list[str] = []
    gaps: list[None] = []
    attempts: list[None] = []
    with ValkeyServer() as valkey:

        def connect() -> Redis:
            attempts.append(None)
            retry = Retry(NoBackoff(), 0)
            return Redis.from_url(valkey.url, decode_responses=True, retry=retry)

        task = asyncio.ensure_future(
            listen_for_ever(connect, texts.append, lambda: gaps.append(None))
        )
        try:
            with scene("a message", because="nobody subscribed to `hall`"):
                await _said(valkey, "first", texts, task)
            expect(not gaps, given="a start", got="a gap", because="nothing was missed yet")
            valkey.kill()
            attempts.clear()
            await asyncio.sleep(0.3)  # the outage: long enough for eight hasty attempts
            expect(
                len(attempts) < 40,
                given="an outage of 0.3 s",
                got="40 attempts and more",
                because="without a pause, every process hammers a broker that wants to start",
            )
            if task.done():
                error = task.exception()
                because = "nobody listens any more" if error else "one restart is not the last one"
                got = f"it ended with {type(error).__name__}" if error else "it returned"
                expect(False, given="an outage of 0.3 s", got=got, because=because)
            await asyncio.to_thread(valkey.start)
            with scene("a message after the outage", because="nobody subscribed again"):
                await _said(valkey, "second", texts, task)
            because = "the gap is not told, and the clients believe that they have everything"
            expect(len(gaps) == 1, given="one outage", got=f"{len(gaps)} gaps", because=because)
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _said(
    valkey: ValkeyServer, text: str, texts: list[str], task: asyncio.Future[None]
) -> None:
    """Publish until somebody has heard it, or the listener has ended."""
    async with Redis.from_url(valkey.url) as client:

        async def published() -> None:
            while not task.done() and not await client.publish("hall", text):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        await asyncio.wait_for(published(), PATIENCE_S)
        await until(lambda: task.done() or text in texts, timeout_s=PATIENCE_S)
    if task.done():
        task.result()  # its own error says more
    if text not in texts:
        raise TimeoutError("the listener ended")
