"""The page works in a real browser, in two tabs at once."""

import asyncio

import pytest
from fastapi import FastAPI, Request, WebSocket
from sse_starlette import EventSourceResponse

from labkit.testing.server import LiveServer
from labkit.workbench.page import mount_page


def chat():
    """Send what one client says to all."""
    app, room = FastAPI(), []

    @app.websocket("/ws")
    async def socket(websocket: WebSocket):
        await websocket.accept()
        room.append(websocket)
        async for text in websocket.iter_text():
            for member in room:
                await member.send_text(text)

    mount_page(app, websocket="/ws", message='{"say":"$TEXT"}', hello=["hello"], title="Chat")
    return app


def news():
    """Publish what is posted to every event stream."""
    app, queues = FastAPI(), []

    @app.get("/events")
    async def events():
        queue = asyncio.Queue()
        queues.append(queue)

        async def stream():
            yield {"comment": "open"}
            while True:
                yield {"id": "7", "event": "news", "data": await queue.get()}

        return EventSourceResponse(stream())

    @app.post("/say")
    async def say(request: Request):
        text = (await request.body()).decode()
        for queue in queues:
            queue.put_nowait(text)

    mount_page(app, events="/events", post="/say", types=["news"], title="News")
    return app


@pytest.mark.parametrize(
    ("app", "line"), [(chat, 'text{"say":"to all \\"x\\""}'), (news, 'news 7to all "x"')]
)
async def test_two_tabs_see_what_one_says(chromium, shots, app, line):
    """What is typed in one tab arrives in both, over a WebSocket and over an event stream."""
    async with LiveServer(app()) as server:
        context = await chromium.new_context()
        tabs = [await context.new_page() for _ in range(2)]
        for tab in tabs:
            await tab.goto(f"{server.url}/page")
            await tab.wait_for_selector("#state.open")
        await tabs[0].get_by_label("Message").fill('to all "x"')
        await tabs[0].get_by_role("button", name="Send").click()
        for tab in tabs:
            await tab.locator("#log li", has_text="to all").wait_for()
            assert line in await tab.locator("#log li").all_inner_texts()
        await shots(tabs[1], f"page_{app.__name__}")
        await context.close()


async def test_page_comes_back_when_the_server_does(chromium):
    """A restart is said, and the tab connects again by itself."""
    first = await LiveServer(chat()).start()
    page = await chromium.new_page()
    await page.goto(f"{first.url}/page")
    await page.wait_for_selector("#state.open")
    said = page.get_by_text("closed 1012, trying again")  # until the next attempt has failed too
    told = asyncio.create_task(said.wait_for())
    await first.stop()
    await told
    async with LiveServer(chat(), port=first.port):
        await page.wait_for_selector("#state.open", timeout=20_000)
        await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_follows_the_theme(chromium, shots, scheme):
    """Ink and paper change places with the reader's scheme, and both can be read."""
    async with LiveServer(chat()) as server:
        context = await chromium.new_context(
            color_scheme=scheme, viewport={"width": 700, "height": 320}
        )
        page = await context.new_page()
        await page.goto(f"{server.url}/page")
        await page.locator("#log li").wait_for()
        style = "getComputedStyle(document.body)"
        paper, ink = await page.evaluate(f"[{style}.backgroundColor, {style}.color]")
        light = [sum(map(int, colour[4:-1].split(","))) for colour in (paper, ink)]
        assert (light[0] > light[1]) == (scheme == "light")
        assert abs(light[0] - light[1]) > 400
        await shots(page, f"page_{scheme}")
        await context.close()
