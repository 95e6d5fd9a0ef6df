"""The page of the reference application in a real Chromium, with two workers behind it."""

import asyncio
import re
import signal
import socket
import sys
import tempfile

import pytest

from labkit.testing.children import Child
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until

START_S = 60.0  # of two processes that import everything, on a busy machine
PATIENCE_MS = 60_000  # longer than the page's longest wait

pytestmark = pytest.mark.timeout(180)


class Service:
    """`labkit serve` on one port, as often as it is started there."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        command = ["-m", "labkit.workbench.cli", "serve", "--workers", "2", "--port", str(port)]
        self._command = [sys.executable, *command]

    async def start(self):
        with tempfile.TemporaryFile() as output:
            self.child = Child(self._command, output=output)
            await until(
                lambda: output.seek(0) == 0 and b"serves" in output.read(), timeout_s=START_S
            )

    async def end(self):
        self.child.process.send_signal(signal.SIGTERM)
        await until(lambda: not self.child.running, timeout_s=START_S)
        self.child.stop()


@pytest.fixture(scope="module")
def service():
    """Start it with a broker that outlives it; end what is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        service = Service(probe.getsockname()[1])
    with ValkeyServer() as broker, pytest.MonkeyPatch.context() as environment:
        settings = {"REDIS_URL": broker.url, "SECRET": "b" * 32, "SPREAD_S": "0.5"}
        for name, value in (settings | {"LOG_LEVEL": "error"}).items():
            environment.setenv(f"LABKIT_{name}", value)
        try:
            asyncio.run(service.start())
            yield service
        finally:
            service.child.kill()


async def tab(chromium, service, name):
    """Open the page as somebody, in a browser session of their own."""
    page = await (await chromium.new_context()).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.complaints, page.frames_heard = [], []
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "websocket",
        lambda ws: ws.on("framereceived", lambda frame: page.frames_heard.append(frame)),  # noqa: PLW0108 - Playwright marks it
    )
    await page.goto(service.url)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Enter").click()
    await status(page, f"connected as {name}")
    return page


async def status(page, text):
    await page.get_by_role("status").filter(has_text=text).wait_for()


async def say(page, text):
    await page.get_by_label("Message;").fill(text)
    await page.get_by_role("button", name="Send").click()


async def read(page, text, where="#messages"):
    """Wait until the page shows a line, and no other like it."""
    line = page.locator(f"{where} li:not(.waiting)").filter(
        has_text=re.compile(f"^{re.escape(text)}$")
    )
    await line.wait_for()
    assert await line.count() == 1


async def test_what_is_typed_in_one_tab_appears_in_the_other(chromium, service):
    """With who is here, a note to who is mentioned, and no complaint of the browser."""
    ada, bob = [await tab(chromium, service, name) for name in ("ada", "bob")]
    await say(ada, "tea, @bob? <b>now</b>")
    for page in (ada, bob):
        await read(page, "ada: tea, @bob? <b>now</b>")
        await page.get_by_text("Here: ada, bob").wait_for()
    await read(bob, "ada: tea, @bob? <b>now</b>", "#notes")
    assert ada.complaints + bob.complaints == []


async def test_both_tabs_come_back_after_a_restart_and_nothing_is_lost(chromium, service):
    """They are told, wait, and what was typed meanwhile is said once."""
    ada, bob = [await tab(chromium, service, name) for name in ("ada", "bob")]
    await say(ada, "before")
    await read(bob, "ada: before")
    told = [asyncio.create_task(status(page, "not connected")) for page in (ada, bob)]
    await asyncio.sleep(0)
    await service.end()
    await asyncio.gather(*told)
    assert all(any('"shutdown"' in frame for frame in page.frames_heard) for page in (ada, bob))
    await say(ada, "meanwhile")
    await service.start()
    for page, name in ((ada, "ada"), (bob, "bob")):
        await status(page, f"connected as {name}")
        await read(page, "ada: meanwhile")
        await read(page, "ada: before")
        assert await page.locator(".gap").count() == 0
    await say(bob, "after")
    await read(ada, "bob: after")
