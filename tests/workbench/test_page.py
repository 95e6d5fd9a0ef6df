"""The page is served by the application and knows its way whatever stands in front."""

import json
import re
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from labkit.workbench.page import browser, mount_page

SERVER = SimpleNamespace(url="http://127.0.0.1:54321", port=54321)


async def fetch(app, path="/page"):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        return await client.get(path)


def setup_of(page):
    return json.loads(re.search(r'id="setup">(.*?)</script>', page.text)[1])


async def test_page_is_served_with_relative_addresses():
    """Behind a proxy's prefix every address still leads to the application."""
    app = FastAPI()
    mount_page(app, "/lab/page", events="/events", post="/lab/say", types=["tick"])
    page = await fetch(app, "/lab/page")
    assert page.status_code == 200
    setup = setup_of(page)
    assert (setup["events"], setup["post"]) == ("../events", "say")
    assert setup["types"] == ["tick"]


async def test_page_loads_nothing_from_elsewhere():
    """No address of another host is in the page."""
    app = FastAPI()
    mount_page(app, websocket="/ws")
    assert not re.search(r"https?://|src=|@import", (await fetch(app)).text)


async def test_hostile_title_and_messages_stay_text():
    """What is put into the page cannot end its script or add markup."""
    app = FastAPI()
    mount_page(app, websocket="/ws", title="<b>", hello=["</script><b>"], message='{"say":"$TEXT"}')
    page = await fetch(app)
    assert "<b>" not in page.text
    assert setup_of(page)["hello"] == ["</script><b>"]
    assert setup_of(page)["message"] == '{"say":"$TEXT"}'


async def test_page_is_no_part_of_the_api():
    """The schema of the application stays as it was."""
    app = FastAPI()
    mount_page(app, websocket="/ws")
    assert app.openapi()["paths"] == {}


@pytest.mark.parametrize("streams", [{}, {"websocket": "/ws", "events": "/events"}])
def test_exactly_one_stream_is_asked_for(streams):
    """None or two streams is a sentence with the cure."""
    with pytest.raises(ValueError, match="give the page one stream to open"):
        mount_page(FastAPI(), **streams)


def test_browser_shows_a_frame_and_a_link(monkeypatch):
    """In JupyterLab the page is there to use, and to open a second time."""
    monkeypatch.delenv("LABKIT_CI", raising=False)
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    bundle = browser(SERVER)._repr_mimebundle_()
    assert bundle["text/plain"] == "page of the server at /page"
    assert bundle["text/html"].count("http://127.0.0.1:54321/page") == 2


def test_browser_goes_through_the_proxy_of_a_hub(monkeypatch):
    """On a hub the address is the hub's own, with the port behind it."""
    monkeypatch.delenv("LABKIT_CI", raising=False)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    assert 'src="/user/ada/proxy/54321/page"' in browser(SERVER).html()


def test_browser_is_words_only_when_static(monkeypatch):
    """A stored output holds no port."""
    monkeypatch.setenv("LABKIT_CI", "1")
    assert browser(SERVER)._repr_mimebundle_() == {"text/plain": "page of the server at /page"}
