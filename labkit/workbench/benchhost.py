"""The process behind a `Stand`: one contender serves, publishes when told to, and weighs itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import psutil
import uvicorn

from labkit.testing.address import HOST

Message = dict[str, Any]
PASSES = 2
"""Of the loop, from one turn to the next: the first writes, the second lets a woken task write."""


@dataclass(frozen=True, kw_only=True)
class House:
    """A contender that serves.

    Attributes:
        port: where it listens.
        publish: sends what belongs to one turn to everyone.
        joined: how many clients would get it.
    """

    port: int
    publish: Callable[[list[Message]], Awaitable[None]]
    joined: Callable[[], int]


Contender = Callable[[Mapping[str, Any]], AbstractAsyncContextManager[House]]
"""Given the options of its stand, makes a house. Its imports are its own: one may be missing."""


@contextlib.asynccontextmanager
async def on_uvicorn(app: Any, **options: Any) -> AsyncIterator[int]:  # noqa: ANN401 - uvicorn's
    """Serve an application; give its port."""
    settings = {"log_config": None, "access_log": False, "ws_ping_interval": None} | options
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=0, **settings))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            await serving
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving


async def _publish(house: House, timeout_s: float, **order: Any) -> Message:  # noqa: ANN401 - of JSON
    with contextlib.suppress(TimeoutError):  # it waits for one client: the others are short
        async with asyncio.timeout(timeout_s):
            await _turns(house, **order)
    return {}


async def _turns(house: House, turns: int, per_turn: int, every_s: float, size: int) -> None:
    due = time.monotonic()
    for _ in range(turns):
        text = {"type": "news", "topic": "news", "text": "x" * size}
        await house.publish([text | {"t": time.monotonic()} for _ in range(per_turn)])
        due += every_s
        for _ in range(PASSES):
            await asyncio.sleep(0)
        if (left_s := due - time.monotonic()) > 0:
            await asyncio.sleep(left_s)


async def _joined(house: House, clients: int) -> Message:
    async with asyncio.timeout(10):
        while house.joined() < clients:  # noqa: ASYNC110 - contenders tell nobody
            await asyncio.sleep(0.005)
    return {}


async def _weigh(_house: House) -> Message:
    process = psutil.Process()
    return {"cpu_s": time.process_time(), "rss_bytes": process.memory_info().rss}


ORDERS: dict[str, Callable[..., Awaitable[Message]]] = {
    "publish": _publish,
    "joined": _joined,
    "weigh": _weigh,
}


async def _serve(contender: Contender, settings: Message) -> None:
    orders, out = await asyncio.open_connection(HOST, settings["control"])

    def say(answer: Message) -> None:
        out.write(json.dumps(answer).encode() + b"\n")

    try:
        async with contender(settings) as house:
            say({"port": house.port})
            async for line in orders:
                order = json.loads(line)
                say(await ORDERS[order.pop("do")](house, **order))
    except ImportError as error:
        say({"missing": error.name})
        await out.drain()


def main(contenders: Mapping[str, Contender]) -> None:
    """Serve what the command line names, on one core where the system can do that."""
    settings = json.loads(sys.argv[1])
    if settings["core"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {settings["core"]})
    asyncio.run(_serve(contenders[settings["contender"]], settings))
