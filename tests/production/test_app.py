"""The reference application, by its addresses alone."""

import re
from urllib.parse import quote

import httpx
import pytest

from labkit.testing.outcomes import Rejected
from labkit.testing.waiting import until
from tests.production.conftest import serving, until_type

OWN = "https://app.example"


@pytest.fixture
async def server(valkey):
    """One worker, whose pages are at `OWN`."""
    async with serving(valkey, origins=OWN, spread_s=0.1) as server:
        yield server


async def test_the_page_needs_no_script_but_its_own(server, person):
    """A strict policy, and nothing inline that it would forbid."""
    ada = await person(server)
    page = await ada.http.get("/")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"<style|<script>| style=| on[a-z]+=", page.text)
    for part, kind in (("page.js", "javascript"), ("page.css", "css")):
        answer = await ada.http.get(f"/{part}")
        assert kind in answer.headers["content-type"]
        assert f"/{part}" in page.text


async def test_every_field_of_the_page_has_its_label(server, person):
    """And what changes by itself is read aloud."""
    page = (await (await person(server)).http.get("/")).text
    inputs, labels = re.findall(r'<input id="(\w+)"', page), re.findall(r'for="(\w+)"', page)
    assert inputs == labels != []
    assert page.count('aria-live="polite"') == 3


async def test_a_ticket_opens_one_connection(server, person):
    """Whoever reads it in a log later reads something spent."""
    ada = await person(server)
    ticket = (await ada.http.post("/ticket")).json()["ticket"]
    assert (await (await ada.ws(headers={})).closed()).code == 4500
    socket = await ada.ws(headers={}, path=f"/ws?ticket={ticket}")
    await socket.send({"type": "ping"})
    assert await socket.receive_json() == {"type": "pong"}
    again = await (await ada.ws(headers={}, path=f"/ws?ticket={ticket}")).closed()
    assert (again.code, again.reason) == (4500, "no such ticket")
    assert (await ada.events(f"room:a&ticket={ticket}", headers={})).status == 401


@pytest.mark.parametrize(
    ("origin", "code"), [(OWN, None), ("https://evil.example", 403), (None, 4500)]
)
async def test_the_cookie_opens_a_socket_for_our_own_page_alone(server, person, origin, code):
    """A browser sends it whoever's page asks."""
    ada = await person(server)
    headers = {"cookie": f"labkit-session={ada.token}"} | ({"origin": origin} if origin else {})
    if code == 403:
        with pytest.raises(Rejected) as rejected:
            await ada.ws(headers=headers)
        assert rejected.value.status == code
    elif code is None:
        socket = await ada.ws(headers=headers)
        await socket.send({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}
    else:
        with pytest.raises(Rejected):
            await ada.ws(headers=headers)


async def test_the_login_sets_a_cookie_that_no_script_reads(server):
    """HttpOnly, for this site alone."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        answer = await http.post("/login", json={"user": "ada"})
        assert re.match(r"labkit-session=.*HttpOnly.*SameSite=strict", answer.headers["set-cookie"])
        assert (await http.post("/login", json={"user": "no spaces"})).status_code == 422
        said = await http.post("/publish", json={"topic": "room:a", "text": "x"})
        assert said.status_code == 200


async def test_a_client_that_speaks_no_version_of_ours_is_told_which_there_are(server, person):
    """1008 means stop: coming back does not help it."""
    socket = await (await person(server)).ws(subprotocols=["lab.v9"])
    assert (await socket.receive_json())["versions"] == ["lab.v1"]
    assert (await socket.closed()).code == 1008


async def test_a_stream_with_an_id_that_means_nothing_begins_with_a_gap(server, person):
    """Never an error, after which a browser would not come back, and never silence."""
    ada = await person(server)
    for last in ("", "nonsense", "e0:7", "zz:999999999999999999", "\u00e9" * 300):
        for topic, header in (
            ("room:tea", {"last_event_id": last.encode()}),
            (f"room:tea&after={quote(last)}", {}),
        ):
            stream = await ada.events(topic, **header)
            assert stream.status == 200
            if last:
                gap = await stream.next()
                assert gap.event == "gap"
                assert gap.id == stream.last_event_id
            await ada.say(f"{last} is nonsense")
            assert "is nonsense" in (await stream.next()).data


async def test_a_stream_resumes_by_header_and_by_address(server, person):
    """The header counts when there are both."""
    ada = await person(server)
    stream = await ada.events()
    await ada.say("0")
    await stream.next()
    at = stream.last_event_id
    await stream.close()
    for n in (1, 2):
        await ada.say(str(n))
    for url, last in (("room:tea", at), (f"room:tea&after={at}", None), ("room:tea&after=x", at)):
        back = await ada.events(url, last_event_id=last)
        assert ['"1"' in (await back.next()).data, '"2"' in (await back.next()).data] == [
            True,
            True,
        ]
        await back.close()


async def test_what_is_wrong_with_a_stream_is_answered_before_it_starts(server, person):
    """With a status, and nothing is held."""
    ada = await person(server)
    for query, status in {
        "": 422, "topic=": 422, "topic=user:bob": 403, "topic=admin": 403
    }.items():  # fmt: skip
        assert (await ada.http.get(f"/events?{query}")).status_code == status
    assert server.app.state.service.users.in_use == 0


async def test_a_logout_ends_every_connection_of_the_token_at_every_worker(valkey, person):
    """At once, and it opens no other, at a worker that starts later either."""
    secret = "s" * 32
    async with serving(valkey, secret=secret) as here, serving(valkey, secret=secret) as there:
        ada = await person(here)
        socket, _ = await ada.room()
        ada.server = there
        stream = await ada.events()
        assert (await ada.http.post("/logout")).json() == {"withdrawn": True}
        assert (await socket.closed()).code == 4502
        assert "revoked" in (await stream.next()).data
        assert (await ada.events()).status == 401
    async with serving(valkey, secret=secret) as later:
        await until(lambda: later.app.state.service.topics.is_current("withdrawn"))
        ada.server = later
        assert (await ada.events()).status == 401
        await ada.leave()


async def test_without_the_demonstration_nobody_hands_out_names(valkey):
    """A token from elsewhere, signed with the secret, opens."""
    secret = "s" * 32
    async with (
        serving(valkey, secret=secret, demo_login=False) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
    ):
        assert (await http.post("/login", json={"user": "ada"})).status_code == 404
        token = server.app.state.service.tokens.issue("ada", lifetime_s=60)
        http.headers["authorization"] = f"Bearer {token}"
        said = {"topic": "room:a", "text": "x"}
        assert (await http.post("/publish", json=said)).status_code == 200
        assert (await http.post("/publish", json=said | {"topic": "news"})).status_code == 403
        assert (await http.post("/publish", json=said | {"text": ""})).status_code == 422


async def test_who_is_one_too_many_is_told_and_the_next_probe_says_full(valkey, person):
    """The server's limit and the user's own."""
    async with serving(valkey, max_connections=2, max_per_user=1) as server:
        ada, bob = await person(server, "ada"), await person(server, "bob")
        await ada.room()
        assert (await (await ada.ws()).closed()).code == 1013
        service = server.app.state.service
        await until(lambda: service.places.in_use == 1)
        await bob.room()
        with pytest.raises(Rejected) as rejected:
            await bob.ws()
        assert rejected.value.status == 503
        assert (await ada.http.get("/readyz")).json()["why"] == ["full"]


async def test_logins_are_counted_for_all_workers_together(valkey, person):
    """The second worker has no second budget."""
    async with (
        serving(valkey, logins="2/minute") as here,
        serving(valkey, logins="2/minute") as there,
    ):
        ada = await person(here)
        assert (await ada.http.post("/ticket")).status_code == 200
        async with httpx.AsyncClient(base_url=there.url, trust_env=False) as http:
            refused = await http.post("/login", json={"user": "eve"})
        assert refused.status_code == 429
        assert "retry-after" in refused.headers


async def test_posts_are_counted_for_all_workers_together(valkey, person):
    """Of one user; another one's are their own."""
    async with (
        serving(valkey, posts="2/minute") as here,
        serving(valkey, posts="2/minute") as there,
    ):
        ada, bob, also = await person(here), await person(here, "bob"), await person(there)
        said = [await each.say("x") for each in (ada, also, ada, bob)]
        assert [each.status_code for each in said] == [200, 200, 429, 200]


async def test_who_talks_too_fast_is_throttled(valkey, person):
    """Warned once, in words."""
    async with serving(valkey, message_burst=3, messages_per_s=0.1) as server:
        socket = await (await person(server)).ws()
        for _ in range(5):
            await socket.send({"type": "ping"})
        assert (await until_type(socket, "error"))["code"] == "rate_limited"


async def test_a_dead_broker_takes_the_process_out_of_service_but_not_down(valkey, person):
    """Not ready, alive; and ready again by itself."""
    async with serving(valkey, redis_timeout_s=0.3) as server:
        ada = await person(server)
        assert (await ada.http.get("/readyz")).status_code == 200
        valkey.kill()
        await until(lambda: not server.app.state.service.topics.connected)
        answer = await ada.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["why"][0] == "broker"
        assert (await ada.http.get("/livez")).status_code == 200
        assert (await ada.events()).status == 503
        assert (await ada.http.post("/login", json={"user": "x"})).status_code == 429
        valkey.restart()
        await until(lambda: server.app.state.service.topics.connected)
        assert (await ada.http.get("/readyz")).status_code == 200


async def test_metrics_count_both_kinds_and_settle_at_zero(server, person):
    """While they are open, and after."""
    ada = await person(server)
    socket, _ = await ada.room()
    stream = await ada.events()
    await ada.say("x")
    await stream.next()
    told = (await ada.http.get("/metrics")).text
    assert 'realtime_connections_active{transport="websocket"} 1.0' in told
    assert 'realtime_connections_active{transport="sse"} 1.0' in told
    assert 'realtime_messages_total{direction="out",type="event"} 1.0' in told
    await socket.close()
    await stream.close()
    service = server.app.state.service
    await until(lambda: not (service.places.in_use or service.users.in_use))
    told = (await ada.http.get("/metrics")).text
    assert 'realtime_connections_active{transport="websocket"} 0.0' in told
    assert 'realtime_connections_active{transport="sse"} 0.0' in told
