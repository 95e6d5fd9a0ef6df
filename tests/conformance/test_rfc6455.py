"""The Autobahn cases for RFC 6455, against a Session on a real server.

Sections 1 to 7 and 10: framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing.
Left out are 9 (how large a message may be: ours is bounded on purpose), 12 and 13 (compression,
which is the library's own affair).
"""

import kosoku
import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Outgoing
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session

SECTIONS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
DELIBERATE = {"7.1.5"}
"""A text that was begun before a close: python-websockets, which uvicorn uses, does not wait
for its rest (documented in its compliance notes)."""


async def run_cases(url, cases, *, concurrency):
    """Return the results of some cases, whether they passed or not."""
    try:
        return await kosoku.run_fuzzingclient(url, cases, concurrency=concurrency)
    except kosoku.FailureError as failure:
        return failure.results


def failed(results):
    """Name those that did not pass and should have."""
    return sorted({each.case_id for each in results if not each.passed} - DELIBERATE)


@pytest.mark.parametrize("ws", ["auto", "labkit.performance.frames:FrameProtocol"])
async def test_a_session_passes_the_autobahn_cases(ws):
    """Every case but the deliberate one behaves, strictly or within what the RFC leaves open."""
    app, manager = FastAPI(), Manager()

    @app.websocket("/")
    async def echo(websocket: WebSocket):
        async def back(connection, payload):
            size = len(payload.encode() if isinstance(payload, str) else payload)
            connection.send(Outgoing(payload, size))

        limits = Limits(outbox_bytes=1 << 22, inbox_bytes=1 << 22, inbox_items=1000)
        await Session(
            websocket=websocket, manager=manager, on_text=back, on_bytes=back, limits=limits
        ).run()

    async with LiveServer(app, ws=ws, ws_max_size=1 << 22) as server:
        results = await run_cases(f"{server.ws_url}/", SECTIONS, concurrency=4)
        again = failed(results)  # a case has deadlines of its own: a busy machine may miss one
        alone = await run_cases(f"{server.ws_url}/", again, concurrency=1) if again else []
    assert len(results) > 200
    assert {each.case_id for each in results if not each.passed} >= DELIBERATE
    assert len(again) <= 3
    assert failed(alone) == []
    assert len(manager) == 0
