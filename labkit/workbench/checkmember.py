"""Production items that a member meets: who comes in, what may be said, when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from labkit.architecture import CloseCode
from labkit.testing.clients import Disconnected, Rejected, Silence, WebSocketClient
from labkit.testing.raw import RawWebSocket
from labkit.testing.waiting import until
from labkit.workbench.probing import Found, Target, enter

SOON_S = 3.0
CUT_OFF_S = 8.0
CROWD, FLOOD = 24, 400
BAD = ("{not JSON", "[1, 2]", '{"type": 7}', '{"type": "nonsense"}', '{"self": 1}')
HUGE_FRAME = b"\x81\xff" + (8 << 20).to_bytes(8, "big") + b"\0\0\0\0"
"""The head of a text frame of 8 MiB; nothing follows (RFC 6455 §5.2)."""


async def limits(target: Target) -> Found:
    """C1: one user opens connection after connection."""
    inside: list[WebSocketClient] = []
    try:
        while len(inside) < CROWD:
            inside.append(await target.connect())
        with suppress(TimeoutError):  # a refusal may come as a close
            await until(lambda: not all(each.open for each in inside), timeout_s=SOON_S)
        refused = [each for each in inside if not each.open]
        if refused:
            return Found(True, f"refused with {(await refused[-1].closed()).code}")
    except Rejected as rejected:
        return Found(True, f"refused with HTTP {rejected.status}")
    finally:
        await asyncio.gather(*(each.close() for each in inside))
    return Found(False, f"{CROWD} connections of one user, none refused")


async def rate(target: Target) -> Found:
    """C2: one member says far too much."""
    async with await target.connect() as client:
        try:
            for _ in range(FLOOD):
                await client.send(target.ask)
            await client.receive_many(FLOOD)
        except Disconnected:
            return Found(True, f"a flood is closed with {(await client.closed()).code}")
    return Found(False, f"{FLOOD} messages at once, every one answered, never closed")


async def auth(target: Target) -> Found:
    """C3: a stranger comes in, and one user asks for what is another's."""
    stranger = "refused"
    with suppress(Rejected, Disconnected):
        async with await enter(target.process, target.stranger, "stranger") as client:
            await client.send(target.ask)
            await client.receive()
            stranger = "let in"
    async with await target.connect("eve") as eve:
        denied = await _is_error(eve, target.spy, target.ask)
    spied = "kept out of what is another's" if denied else "reads what is another's"
    return Found(stranger == "refused" and denied, f"a stranger is {stranger}, a member {spied}")


async def validation(target: Target) -> Found:
    """C4: five messages that make no sense, each over a connection of its own."""

    async def survives(n: int, bad: str) -> bool:
        async with await target.connect(f"writer{n}") as client:
            return await _is_error(client, bad, target.ask) and client.open

    good = sum(await asyncio.gather(*(survives(n, bad) for n, bad in enumerate(BAD))))
    return Found(good == len(BAD), f"{good} of {len(BAD)} bad messages get an error")


async def errors(target: Target) -> Found:
    """C5: after a mistake the same client goes on, and the log has no traceback of it."""
    async with await target.connect("bob") as client:
        try:
            await _is_error(client, BAD[-1], target.ask)
            await client.send(target.ask)
            await client.receive()
            goes_on = "goes on after a mistake"
        except ConnectionError:
            goes_on = f"ended with {(await client.closed()).code} by a mistake"
    traceback = any(line.startswith("Traceback") for line in target.process.lines)
    kept = goes_on.startswith("goes") and not traceback
    return Found(kept, f"{goes_on}, {'a' if traceback else 'no'} traceback in the log")


async def size(target: Target) -> Found:
    """C12: the head of a frame of 8 MiB; whoever waits for the rest would take it into memory."""
    raw = await _raw(target)
    try:
        await raw.write(HUGE_FRAME)
        with suppress(Silence):
            while not raw.eof:
                await raw.read(timeout_s=SOON_S)
    finally:
        raw.reset()
    if raw.close_frame is not None and raw.close_frame.code == CloseCode.TOO_BIG:
        return Found(True, "8 MiB are refused with 1009 at the first bytes")
    return Found(False, "waits for all of a message of 8 MiB")


async def timeouts(target: Target) -> Found:
    """C13: a client that answers every ping and wants nothing."""
    async with await target.connect("dan") as client:
        try:
            async with asyncio.timeout(target.idle_s + SOON_S):
                while True:
                    if (await client.receive_json()).get("type") == "ping":
                        await client.send({"type": "pong"})
        except TimeoutError:
            return Found(False, "an unused connection stays")
        except Disconnected:
            code = (await client.closed()).code
    return Found(True, f"an unused connection is closed with {code}")


class _Mute(RawWebSocket):
    """Reads, and answers nothing, not even a ping."""

    muted = False

    async def write(self, data: bytes) -> None:
        if not self.muted:
            await super().write(data)


async def heartbeat(target: Target) -> Found:
    """C14: a peer that is gone and has not said so."""
    raw = await _raw(target)
    raw.muted = True
    try:
        async with asyncio.timeout(CUT_OFF_S):
            while raw.closed is None:
                await raw.read()
    except TimeoutError:
        return Found(False, "a peer that answers no ping stays")
    finally:
        raw.reset()
    return Found(True, "a peer that answers no ping is cut off")


async def _raw(target: Target) -> _Mute:
    way = await target.member(target.process, "ada")
    return await _Mute.connect(
        target.process.ws_url + way.path, headers=way.headers, subprotocols=way.subprotocols
    )


async def _is_error(
    client: WebSocketClient, message: str | Mapping[str, Any], ask: Mapping[str, Any]
) -> bool:
    """Whether a message is answered with an error, before the answer to one that is good."""
    try:
        await client.send(message)
        await client.send(ask)
        while True:
            answer = json.dumps(await client.receive_json(timeout_s=SOON_S))
            if "error" in answer:
                return True
            if "pong" in answer:
                return False
    except (Disconnected, Silence):
        return False
