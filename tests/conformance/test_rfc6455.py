"""The Autobahn cases for RFC 6455, against a Session on a real server.

Sections 1 to 7 and 10: framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing.
Left out are 9 (how large a message may be: ours is bounded on purpose), 12 and 13 (compression,
which is the library's own affair).
"""

import kosoku
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Outgoing
from labkit.testing.server import LiveServer
from labkit.websocket import Limits, Session

SECTIONS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
DELIBERATE = {"7.1.5"}
"""A text that was begun before a close: python-websockets, which uvicorn uses, does not wait
for its rest (documented in its compliance notes)."""


async def run_cases(url):
    """Return the results of all cases, whether they passed or not."""
    try:
        return await kosoku.run_fuzzingclient(url, SECTIONS, concurrency=4)
    except kosoku.FailureError as failure:
        return failure.results


async def test_a_session_passes_the_autobahn_cases():
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

    async with LiveServer(app, ws_max_size=1 << 22) as server:
        results = await run_cases(f"{server.ws_url}/")
    assert len(results) > 200
    assert {each.case_id for each in results if not each.passed} == DELIBERATE
    assert len(manager) == 0
