"""What a real Chromium lets a page see of a refusal, and which doors it can use."""

import json

import pytest
from fastapi import Request, WebSocket, WebSocketException
from fastapi.responses import HTMLResponse

from labkit.auth import COOKIE, bearer
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.chromium import in_chromium
from tests.auth.conftest import Service

WEBSOCKET = """
async ([path, protocols]) => await new Promise(done => {
    const seen = [], socket = new WebSocket("ws://" + location.host + path, protocols ?? []);
    socket.onopen = () => { seen.push("open " + socket.protocol); window.socket = socket };
    socket.onclose = event => done([...seen, `${event.code} ${event.reason}`]);
    setTimeout(() => done(seen), 1500);
})
"""
EVENTS = """
async path => await new Promise(done => {
    const seen = [], source = new EventSource(path);
    source.onopen = () => seen.push("open");
    source.addEventListener("goodbye", event => { source.close(); done([...seen, event.data]) });
    source.onerror = () => {
        if (source.readyState === 2) done([...seen, "given up " + source.status]);
    };
    window.seen = seen;
})
"""


class Site(Service):
    """The service, with a page and a login."""

    def _doors(self):
        super()._doors()

        @self.app.get("/page")
        async def page():
            return HTMLResponse("<title>page</title>")

        @self.app.post("/login")
        async def login(request: Request):
            token = bearer(request)
            response = HTMLResponse("in")
            response.set_cookie(
                COOKIE, token, secure=True, httponly=True, samesite="strict", path="/"
            )
            return response

        @self.app.websocket("/raise")
        async def before_accept(websocket: WebSocket):
            raise WebSocketException(1008, "invalid token")

        @self.app.websocket("/no-echo")
        async def no_echo(websocket: WebSocket):
            await websocket.accept()


@pytest.fixture
async def site():
    site = Site()
    async with site.server:
        yield site


@pytest.fixture
async def page(chromium, site):
    """A page of the site's own origin."""
    page = await chromium.new_page()
    await page.goto(f"{site.server.url}/page")
    yield page
    await page.close()


async def login(page, token):
    ask = "token => fetch('/login', {method: 'POST', headers: {authorization: 'Bearer ' + token}})"
    await page.evaluate(f"async token => {{ await ({ask})(token) }}", token)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/raise", ["1006 "]),
        ("/header", ["1006 "]),
        ("/ticket?ticket=x", ["open ", "4500 malformed"]),
        ("/proto", ["open ", "4500 missing"]),
    ],
)
async def test_only_a_close_after_accept_has_a_code(page, path, seen):
    """An HTTP refusal of any kind is 1006 to a page."""
    assert await page.evaluate(WEBSOCKET, [path, None]) == seen


async def test_a_page_comes_in_by_ticket_once(page, site):
    """It fetches with a header, opens with the ticket; the second time it is 4500."""
    token = site.token()
    ask = """async token => (await (await fetch("/tickets",
        {method: "POST", headers: {authorization: "Bearer " + token}})).json()).ticket"""
    ticket = await page.evaluate(ask, token)
    assert await page.evaluate(WEBSOCKET, [f"/ticket?ticket={ticket}", None]) == ["open "]
    (connection,) = site.manager
    assert connection.user == "ada"
    again = await page.evaluate(WEBSOCKET, [f"/ticket?ticket={ticket}", None])
    assert again == ["open ", "4500 no such ticket"]


async def test_a_page_comes_in_by_subprotocol_and_is_told_the_other_one(page, site):
    """The answer is `app.v1`; without an answer Chromium hangs up."""
    token = site.token()
    offered = ["app.v1", f"bearer.{token}"]
    assert await page.evaluate(WEBSOCKET, ["/proto", offered]) == ["open app.v1"]
    assert await page.evaluate(WEBSOCKET, ["/no-echo", offered]) == ["1006 "]


async def test_the_cookie_opens_to_our_page_and_not_to_another(page, site, chromium):
    """Another port is another origin and the same site: the cookie is sent, the Origin tells."""
    await login(page, site.token())
    assert await page.evaluate(WEBSOCKET, ["/cookie", None]) == ["open "]
    evil = Site()
    async with evil.server:
        await page.goto(f"{evil.server.url}/page")
        script = WEBSOCKET.replace("location.host", json.dumps(f"127.0.0.1:{site.server.port}"))
        assert await page.evaluate(script, ["/cookie", None]) == ["1006 "]
    assert site.gate.refused == {"foreign origin": 1}


async def test_an_event_source_gives_up_after_401_and_says_not_why(page):
    """The page sees neither the status nor the reason, and it does not come back."""
    assert await page.evaluate(EVENTS, "/events/news") == ["given up undefined"]


async def test_an_event_source_with_a_cookie_ends_with_the_token(page, site):
    """Same origin: it opens, and reads the goodbye with its reason."""
    await login(page, site.token())
    stream = await page.evaluate_handle(
        f"path => {{ window.end = ({EVENTS})(path) }}", "/events/mine"
    )
    await until(lambda: len(site.live) == 1)
    site.clock.advance(61)
    site.live.sweep()
    seen = await page.evaluate("async () => await window.end")
    assert [seen[0], json.loads(seen[1])] == ["open", {"reason": "expired"}]
    await stream.dispose()


async def test_a_page_sees_4502_when_it_is_withdrawn(page, site):
    """The code that says *stop* arrives in `onclose`."""
    ticket = await site.tickets.issue(site.tokens.verify(site.token()))
    await page.evaluate(WEBSOCKET, [f"/ticket?ticket={ticket}", None])
    closing = "new Promise(done => { socket.onclose = event => done(event.code) })"
    await page.evaluate(f"() => {{ window.closing = {closing} }}")
    site.live.revoke_user("ada")
    assert await page.evaluate("async () => await window.closing") == 4502


async def test_a_lesson_can_ask_chromium(chromium):
    """`in_chromium` starts its own, and returns what the script returns."""
    async with LiveServer(Site().app) as server:
        path = await in_chromium(f"{server.url}/page", "() => location.pathname")
    assert path == "/page"
