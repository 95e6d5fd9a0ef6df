"""A real browser as the judge: what Chromium dispatches is what our encoder meant."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

from labkit.sse.format import Event, Parser, comment, encode, encode_silent
from labkit.testing.server import LiveServer

SHARED = Path(__file__).parents[1] / "sse" / "wire_cases.json"
CASES = {
    case["name"]: case["wire"].encode("utf-8", "surrogateescape")
    for case in json.loads(SHARED.read_text(encoding="utf-8"))
}
ENCODED = {
    "plain": [encode(Event("hello"))],
    "empty data": [encode(Event(""))],
    "lines": [encode(Event("a\nb\r\nc\rd\n\n"))],
    "looks like fields": [encode(Event("id: 7\ndata: x\n: y\n\nevent: z"))],
    "spaces": [encode(Event("  two before, one after "))],
    "beyond ASCII": [encode(Event("ä€😀\u2028\u0085\x00", event="größe", id="№ 1"))],
    "a byte order mark": [encode(Event("\ufeffx\ufeff"))],
    "types": [encode(Event("1", event="tick")), encode(Event("2")), encode(Event("3", event=""))],
    "ids": [encode(Event("1", id="e:1")), encode(Event("2")), encode(Event("3", id=""))],
    "a position before the first event": [encode_silent(event_id="e:7"), encode(Event("1"))],
    "keep-alives": [comment("keep-alive"), encode(Event("1")), comment(), encode(Event("2"))],
    "a comment that wants to be data": [comment("x\n\ndata: evil"), encode(Event("1"))],
    "retry": [encode(Event("1", retry_ms=60_000)), encode_silent(retry_ms=70_000)],
    "large": [encode(Event("x" * 300_000))],
}
CASES |= {f"encoded: {name}": b"".join(parts) for name, parts in ENCODED.items()}

TYPES = ["message", "note", "tick", "größe", "z"]
PAGE = """<!doctype html><meta charset="utf-8"><script>
async function hear(url, types) {
  return await new Promise((done) => {
    const heard = [], source = new EventSource(url);
    for (const type of types)
      source.addEventListener(type, (e) => heard.push([e.type, e.data, e.lastEventId]));
    source.onerror = () => { source.close(); done(heard); };
  });
}</script>"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    """Find Chromium, or skip aloud; where it is required, fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no chromium on the PATH: install it to let a real browser judge the wire format"
        if os.environ.get("LABKIT_REQUIRE_CHROMIUM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def parsed(wire):
    """Give what our parser makes of it, in the form that the page reports."""
    parser, heard = Parser(), []
    for start in range(0, len(wire), 1):
        heard += [
            [event.event or "message", event.data, parser.last_event_id]
            for event in parser.feed(wire[start : start + 1])
        ]
    return heard


def make_app():
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def page():
        return PAGE

    @app.get("/case/{index}")
    async def case(index: int):
        wire = list(CASES.values())[index]
        return Response(wire, media_type="text/event-stream")

    return app


@pytest.mark.timeout(120)
async def test_chromium_and_our_parser_hear_the_same():
    """Each stream, ours and the standard's cases: type, data and last event id agree."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 (only where it is needed)

    path = chromium()
    async with LiveServer(make_app()) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            page = await browser.new_page()
            await page.goto(server.url)
            heard = {}
            for index, name in enumerate(CASES):
                async with asyncio.timeout(20):
                    heard[name] = await page.evaluate(
                        "([url, types]) => hear(url, types)", [f"/case/{index}", TYPES]
                    )
        finally:
            await browser.close()
    assert heard == {name: parsed(wire) for name, wire in CASES.items()}


@pytest.mark.parametrize("name", ENCODED)
def test_every_type_that_is_sent_is_listened_for(name):
    """Otherwise the page would be deaf and the comparison empty."""
    assert {kind for kind, _, _ in parsed(CASES[f"encoded: {name}"])} <= set(TYPES)
