"""The wire view in a real JupyterLab: it moves while a cell runs, and is seen without trust."""

import asyncio

import nbformat
import pytest

from labkit.workbench.frames import End, Frame
from labkit.workbench.sequence import Diagram
from tests.browser.notebook import errors, words

pytestmark = pytest.mark.timeout(180)

SETUP = """\
import asyncio
from fastapi import FastAPI, WebSocket
from labkit.workbench import Lab
lab = await Lab.start(chapter=1)
app = FastAPI()

@app.websocket("/ws")
async def socket(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)

server = await lab.serve(app)
ada, bob = await lab.join(server, "/ws", "ada", "bob")"""
LIVE = """\
async with lab.wire.live():
    for n in range(24):
        await (ada, bob)[n % 2].send({"n": n})
        await (ada, bob)[n % 2].receive()
        await asyncio.sleep(0.08)"""
PAGE = """\
from labkit.workbench.page import browser, mount_page
mount_page(app, websocket="/ws", hello=["hello"])
browser(server)"""
PICTURE = "img[src^='data:image/svg+xml']"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
async def test_picture_moves_while_the_cell_runs(chromium, jupyterlab, shots, theme):
    """The image changes several times before the cell ends, and ends with the last frame."""
    name = jupyterlab.write("live.ipynb", SETUP, LIVE, "await lab.close()")
    async with jupyterlab.open(chromium, name, theme=theme) as notebook:
        await notebook.run_all()
        picture = notebook.page.locator(PICTURE)
        await picture.wait_for()
        seen = []
        async with asyncio.timeout(60):
            while "*" in (await notebook.cells())[1]["prompt"]:
                seen.append(await picture.get_attribute("src"))
        assert len(set(seen)) >= 3
        cells = await notebook.finished()
        assert errors(cells) == []
        assert '{"n":23}' in await picture.get_attribute("alt")
        assert await picture.evaluate("image => image.naturalWidth") == 700
        await picture.scroll_into_view_if_needed()
        await shots(notebook.page, f"live_{theme.split()[-1].lower()}")
        assert "0 servers" in words(cells[-1])


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
async def test_stored_picture_is_seen_before_any_cell_has_run(chromium, jupyterlab, shots, theme):
    """A notebook that is not trusted shows its committed picture, and the words below it."""
    picture = Diagram(
        (
            Frame("ada", "server", "text", '{"type":"subscribe"}'),
            Frame("server", "ada", "text", '{"n":1}'),
            Frame("server", "eve", "text", '{"n":2}', 65536, End.WAITING),
        ),
        ("ada", "eve", "server"),
    )
    data = {"text/plain": str(picture), "text/html": picture.html()}
    stored = nbformat.v4.new_output("display_data", data=data)
    name = jupyterlab.write("stored.ipynb", "lab.wire.show()", outputs=[stored])
    async with jupyterlab.open(chromium, name, theme=theme) as notebook:
        assert [cell["trusted"] for cell in await notebook.cells()] == [False]
        image = notebook.page.locator(PICTURE)
        await image.wait_for()
        assert await image.evaluate("image => image.complete && image.naturalWidth") == 700
        await notebook.page.get_by_text("the same as text").click()
        assert await notebook.page.locator(".jp-OutputArea pre", has_text="⇢ eve").is_visible()
        await shots(notebook.page, f"stored_{theme.split()[-1].lower()}")


async def test_page_of_the_server_is_framed_in_the_notebook(chromium, jupyterlab, shots):
    """The cell shows a page that is connected to the server inside the kernel."""
    name = jupyterlab.write("framed.ipynb", SETUP, PAGE)
    async with jupyterlab.open(chromium, name) as notebook:
        await notebook.run_all()
        page = notebook.page.frame_locator("iframe[title='page of the server at /page']")
        await page.locator("#log li", has_text="hello").wait_for(timeout=60_000)
        await shots(notebook.page, "framed")
        assert errors(await notebook.finished()) == []


async def test_stop_button_interrupts_a_cell_that_waits(chromium, jupyterlab):
    """The learner is never stuck: a cell that would wait for ever ends at a click."""
    wait = "await asyncio.Event().wait()"
    name = jupyterlab.write("stop.ipynb", SETUP, wait, "'after'")
    async with jupyterlab.open(chromium, name) as notebook:
        await notebook.run("a")
        before = await notebook.begin("b")
        _, place = await notebook.cell("b")
        await place.locator(".jp-InputArea-prompt", has_text="[*]").wait_for()
        await notebook.page.get_by_role("button", name="Interrupt the kernel").click()
        stopped = await notebook.counted("b", before)
        assert errors([stopped])[0].startswith(("KeyboardInterrupt", "CancelledError"))
        assert words(await notebook.run("c")) == "'after'"
