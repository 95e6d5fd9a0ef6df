"""Production items of the service as a whole: what an operator sees, and what may go away."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

from labkit.architecture import CloseCode
from labkit.testing.clients import WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.testing.waiting import GLANCE_S
from labkit.workbench.probing import Found, Target
from labkit.workbench.shutdown import shut_down

SOON_S = 2.0
PATIENCE_S = 6.0
VANISHING = 10
HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy")
OK, UNAVAILABLE = 200, 503


async def metrics(target: Target) -> Found:
    """C6: three come and go, and the gauge follows."""
    answer = await _get(target.process, target.metrics)
    if answer.status_code != OK:
        return Found(False, f"no metrics: HTTP {answer.status_code}")

    async def here() -> int:
        return await gauge(target.process, target.metrics, target.gauge)

    before = await here()
    clients = [await target.connect() for _ in range(3)]
    during = await _becomes(here, before + 3)
    await asyncio.gather(*(each.close() for each in clients))
    kept = during and await _becomes(here, before)
    return Found(kept, f"the gauge {'follows' if kept else 'does not follow'} who comes and goes")


async def logs(target: Target) -> Found:
    """C7: what a connection leaves in the log can be read by a program."""
    async with await target.connect() as client:
        await client.send(target.ask)
        await client.receive()
    lines = [line for line in target.process.lines if line.strip()]
    structured = [each for each in map(_record, lines) if each]
    named = any("connection_id" in each for each in structured)
    if len(structured) == len(lines) and named:
        return Found(True, "every line is JSON, with the connection's id")
    return Found(False, "lines are text" if not structured else "some lines are no JSON")


async def health(target: Target) -> Found:
    """C8: the broker dies; the process is alive, and not ready."""
    if await _statuses(target) != (OK, OK):
        return Found(False, "not alive and ready to begin with")
    target.valkey.kill()
    try:
        told = await _becomes(lambda: _statuses(target), (OK, UNAVAILABLE))
    finally:
        target.valkey.restart()
    return Found(told, f"without its broker: {'alive, not ready' if told else 'still healthy'}")


async def shutdown(target: Target) -> Found:
    """C9: SIGTERM with a client; it is told, and the process ends."""
    end = await shut_down(target.process, await target.connect(), deadline_s=PATIENCE_S)
    closed = end.audience[0].closed
    told, code = end.told(end.audience[0].name), closed.code if closed else CloseCode.ABNORMAL
    kept = told and end.exited and code == CloseCode.SERVICE_RESTART
    exited = "the process ends" if end.exited else "the process has to be killed"
    return Found(kept, f"the client is {'told' if told else 'not told'}, then {code}; {exited}")


async def balancing(target: Target) -> Found:
    """C10: two members at two workers; one says something."""
    async with (
        await target.connect("kim") as kim,  # other probes go on meanwhile, by other names
        await target.connect("lee", process=target.sibling) as lee,
    ):
        for client in (kim, lee):
            await client.send(target.join)
            await client.receive()
        await lee.send(target.say())
        kept = await _hears(kim, "hello")
    return Found(kept, f"what one worker says, the other's clients {'' if kept else 'do not '}hear")


async def headers(target: Target) -> Found:
    """C11: what a browser is told about the page."""
    answer = await _get(target.process, target.page)
    present = sum(name in answer.headers for name in HEADERS)
    return Found(present == len(HEADERS), f"{present} of {len(HEADERS)} headers")


async def cleanup(target: Target) -> Found:
    """C15: clients vanish; of two tabs of one user, one stays."""

    async def counted() -> int:
        return await target.count(target.process)

    await _becomes(counted, 0)  # those of an earlier probe may still be leaving
    crowd = [await target.connect(f"guest{n}") for n in range(VANISHING)]
    tabs = [await target.connect() for _ in range(2)]
    for client in (tabs[0], *crowd):
        client.abort()
    await tabs[1].send(target.ask)
    kept = await _becomes(counted, 1)
    await tabs[1].close()
    knows = "knows it" if kept else "does not know it"
    return Found(kept, f"one of {2 + VANISHING} clients is left, and the server {knows}")


async def _hears(client: WebSocketClient, word: str) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(SOON_S):
            while word not in str(await client.receive()):
                pass
            return True
    return False


async def _get(process: ServerProcess, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(process.url + path)


async def _statuses(target: Target) -> tuple[int, int]:
    """Return the status of the live and of the ready probe."""
    answers = await asyncio.gather(
        _get(target.process, target.live), _get(target.process, target.ready)
    )
    return answers[0].status_code, answers[1].status_code


async def gauge(process: ServerProcess, path: str, name: str) -> int:
    """Return the value of a gauge of whole numbers, summed over its labels."""
    text = (await _get(process, path)).text
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, flags=re.MULTILINE)
    return round(sum(map(float, found)))


async def _becomes(look: Callable[[], Awaitable[object]], wanted: object) -> bool:
    """Whether what is looked at becomes what is wanted, soon."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SOON_S):
            while await look() != wanted:  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(GLANCE_S)
            return True
    return False


def _record(line: str) -> dict[str, object] | None:
    """Read a line as a JSON object."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
