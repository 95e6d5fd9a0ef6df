"""What one client sees when it does one thing: a table, a row for each thing.

`dial` turns through inputs on a connection that was accepted, `knock` through ways to be refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from labkit.architecture import CloseCode
from labkit.testing.clients import Closed, Disconnected, Rejected, Silence, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.display import Table, table
from labkit.workbench.scenes import MOMENT_S, readable


async def dial(
    url: str, inputs: Mapping[str, str | bytes], *, patience_s: float = MOMENT_S
) -> Table:
    """Send each input over a connection of its own, and tell what the client saw of it.

    Args:
        url: a WebSocket address.
        inputs: what to send, by a name for people.
        patience_s: seconds after which no answer counts as silence.
    """
    seen = await asyncio.gather(*(_provoke(url, each, patience_s) for each in inputs.values()))
    rows = [(name, *outcome) for name, outcome in zip(inputs, seen, strict=True)]
    return table(rows, ("input", "what the client sees", "connection"))


async def _provoke(url: str, payload: str | bytes, patience_s: float) -> tuple[str, str]:
    try:
        client = await WebSocketClient.connect(url, name="dial")
    except Rejected as error:
        return f"HTTP {error.status}", "refused"
    async with client:
        try:
            await client.send(payload)
            answer = readable(await client.receive(timeout_s=patience_s))
        except Silence:
            return "no answer", "open"
        except Disconnected:
            closed = await client.closed()
            frame = (
                "no close frame" if closed.code == CloseCode.ABNORMAL else f"close {closed.code}"
            )
            return frame, f"ended: {closed.reason}" if closed.reason else "ended"
        words = [answer.get(key) for key in ("type", "code")] if isinstance(answer, dict) else []
        return " ".join(filter(None, words)) or str(answer), "open"


async def knock(server: LiveServer, paths: Mapping[str, str]) -> Table:
    """Open each path as a WebSocket, and tell what the client sees and what the server logs.

    Args:
        server: where to knock.
        paths: paths of the server, by a name for people.
    """
    rows = []
    for name, path in paths.items():
        logged = len(server.log)
        seen = await _door(server.ws_url + path)
        await asyncio.sleep(0)
        errors = [each for each in list(server.log)[logged:] if each.levelno >= logging.ERROR]
        traceback = any(each.exc_text for each in errors)
        rows.append((name, seen, "a traceback" if traceback else "a line" if errors else "nothing"))
    return table(rows, ("what the server does", "what the client sees", "server log"))


async def _door(url: str) -> str:
    try:
        client = await WebSocketClient.connect(url, name="guest")
    except Rejected as error:
        return f"HTTP {error.status}" + (" and a reason" if error.body else "")
    async with client:
        closed = await client.closed()
        return f"{_code(closed)} {closed.reason}".rstrip()


def _code(closed: Closed) -> str:
    return "no close frame" if closed.code == CloseCode.ABNORMAL else f"close {closed.code}"
