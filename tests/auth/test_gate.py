"""Every door refuses in its own way, for the same reasons, in the same words."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from labkit.auth import Gate, Identity, Live
from labkit.testing.clients import Closed, Rejected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.secrets import found_in, lines_of
from tests.auth.conftest import forge, unsigned

EXPIRED = forge(exp=1_000_000.0)
BAD = {
    "missing": ("", "missing", 4500),
    "expired": (EXPIRED, "expired", 4001),
    "not yet valid": (forge(nbf=1_000_030.0), "not valid yet", 4500),
    "no signature": (unsigned(), "wrong algorithm", 4500),
    "wrong key": (forge(key=b"z" * 32), "wrong signature", 4500),
    "wrong audience": (forge(aud="billing"), "wrong audience", 4500),
    "no end": (forge(exp=None), "missing claim", 4500),
    "withdrawn": (forge(jti="lost"), "revoked", 4502),
    "long": ("eyJ" + "x" * 5000, "too long", 4500),
}


async def by_first_message(lab, token):
    client = await lab.join("/first", "mallory")
    await client.send({"type": "auth", "token": token})
    return await client.closed()


async def by_ticket_door(lab, token):
    return await (await lab.join(f"/ticket?ticket={token}", "mallory")).closed()


async def by_subprotocol(lab, token):
    offered = ["app.v1", *([f"bearer.{token}"] if token else [])]
    client = await lab.join("/proto", "mallory", subprotocols=offered)
    assert client.subprotocol == "app.v1"
    return await client.closed()


async def by_cookie(lab, token):
    headers = {"cookie": f"__Host-session={token}", "origin": lab.server.url}
    return await (await lab.join("/cookie", "mallory", headers=headers)).closed()


@pytest.mark.parametrize("door", [by_first_message, by_subprotocol, by_cookie])
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_closed_counted_and_logged_once(service, recorder, door, name):
    """The stated code, one count, one line without the secret; the neighbour notices nothing."""
    token, word, code = BAD[name]
    async with service() as lab:
        neighbour = await lab.enter(name="eve")
        lab.live.revoke_token("lost")
        assert await door(lab, token) == Closed(code, word)
        assert lab.gate.refused == {word: 1}
        assert [line for line in recorder.lines if "refused" in line] == [
            f"INFO labkit.auth.gate refused: {word}"
        ]
        if token:
            places = {"ours": recorder.lines, "server": lines_of(lab.server.log)}
            assert found_in(places, [token]) == {"ours": 0, "server": 0}
        await neighbour.send({"type": "ping"})
        assert (await neighbour.receive_json())["type"] == "pong"
        assert not [record for record in lab.server.log if record.levelname == "ERROR"]


@pytest.mark.parametrize("name", BAD)
async def test_a_program_is_refused_with_401(service, name):
    """The header's door answers before accept: a status, a challenge and a word."""
    token, word, _ = BAD[name]
    async with service() as lab:
        lab.live.revoke_token("lost")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with pytest.raises(Rejected) as caught:
            await lab.join("/header", headers=headers)
        assert caught.value.status == 401
        assert caught.value.headers["www-authenticate"].startswith("Bearer")
        assert word.encode() in caught.value.body
        assert lab.gate.refused == {word: 1}


async def test_a_good_token_comes_in_by_every_door(service):
    """Five doors, one room."""
    async with service() as lab:
        token = lab.token()
        bearer, origin = {"authorization": f"Bearer {token}"}, {"origin": lab.server.url}
        async with httpx.AsyncClient(trust_env=False) as http:
            made = await http.post(f"{lab.server.url}/tickets", headers=bearer)
        cookie = {"cookie": f"__Host-session={token}"} | origin
        clients = [
            await lab.enter(token),
            await lab.join("/header", headers=bearer),
            await lab.join(f"/ticket?ticket={made.json()['ticket']}"),
            await lab.join("/proto", subprotocols=["app.v1", f"bearer.{token}"]),
            await lab.join("/cookie", headers=cookie),
        ]
        await until(lambda: len(lab.manager) == 5)
        assert {connection.user for connection in lab.manager} == {"ada"}
        assert [client.open for client in clients] == [True] * 5
        assert clients[3].subprotocol == "app.v1"


async def test_five_clients_with_one_ticket_are_one_client(service):
    """On real sockets: one comes in, four are closed with 4500."""
    async with service() as lab:
        ticket = await lab.tickets.issue(lab.tokens.verify(lab.token()))
        clients = await asyncio.gather(*(lab.join(f"/ticket?ticket={ticket}") for _ in range(5)))
        await until(lambda: sum(client.open for client in clients) == 1)
        closed = [await client.closed() for client in clients if not client.open]
        assert closed == [Closed(4500, "no such ticket")] * 4
        assert lab.gate.refused == {"no such ticket": 4}


async def test_a_ticket_opens_nothing_after_its_token_was_withdrawn(service):
    """What was withdrawn is asked at the door, whatever was shown."""
    async with service() as lab:
        ticket = await lab.tickets.issue(lab.tokens.verify(lab.token()))
        lab.live.revoke_user("ada")
        client = await lab.join(f"/ticket?ticket={ticket}")
        assert await client.closed() == Closed(4502, "revoked")


@pytest.mark.parametrize(
    "message",
    ["{", "[1]", "null", b"\x00", '{"type":"auth"}', '{"type":"auth","token":5}', "[" * 50_000, ""],
)
async def test_a_first_message_that_is_no_credential_is_refused(service, message):
    """4500, like every other missing credential."""
    async with service() as lab:
        client = await lab.join("/first")
        await client.send(message)
        assert await client.closed() == Closed(4500, "missing")


async def test_a_stranger_who_says_nothing_is_closed(service):
    """After the deadline, counted as silent; one who leaves is not counted."""
    async with service(timeout_s=0.1) as lab:
        (await lab.join("/first")).abort()
        client = await lab.join("/first")
        assert await client.closed() == Closed(4500, "no credentials in time")
        assert lab.gate.refused == {"silent": 1}


async def test_what_the_server_refuses_by_itself(service):
    """100 kB in a message is 1009, a text that is no UTF-8 is 1007; others notice nothing."""
    async with service() as lab:
        client = await lab.join("/first")
        await client.send({"type": "auth", "token": "x" * 100_000})
        assert (await client.closed()).code == 1009
        client = await lab.join("/first")
        await client.connection.send(b'{"type": "auth", "token": "\xff"}', text=True)
        assert (await client.closed()).code == 1007
        assert (await lab.enter()).open


async def test_a_token_of_100_kb_in_a_header_is_too_long(service):
    """It is refused by its length, unread."""
    async with service() as lab:
        answer = await lab.listen("x" * 100_000)
        assert answer.status == 401
        assert lab.gate.refused == {"too long": 1}


async def test_a_header_that_is_not_ascii_is_malformed(service):
    """Bytes of Latin-1 in a header are no token."""
    async with service() as lab:
        async with httpx.AsyncClient(trust_env=False) as http:
            headers = {"authorization": "Bearer \xff\xfe".encode("latin-1")}
            answer = await http.post(f"{lab.server.url}/tickets", headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (401, "malformed")


async def test_a_page_of_another_origin_is_refused_before_accept(service):
    """With a good cookie: HTTP 403, over a WebSocket and over an event stream."""
    async with service() as lab:
        good = {"cookie": f"__Host-session={lab.token()}"}
        for headers in ({"origin": "https://evil.example"}, {}):
            with pytest.raises(Rejected) as caught:
                await lab.join("/cookie", headers=good | headers)
            assert caught.value.status == 403
        async with httpx.AsyncClient(trust_env=False) as http:
            for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
                answer = await http.get(f"{lab.server.url}/events/news", headers=good | headers)
                assert answer.status_code == 403
        assert lab.gate.refused == {"foreign origin": 4}


async def test_an_outage_is_never_a_wrong_token(service, recorder):
    """1013 and 503 with Retry-After; the log names an outage, not the token, not the cause."""
    async with service() as lab:
        token, lab.down = lab.token(), True
        later = "authentication is not available now: try again later"
        for door in (by_first_message, by_subprotocol, by_cookie):
            assert await door(lab, token) == Closed(1013, later)
        with pytest.raises(Rejected) as caught:
            await lab.join("/header", headers={"authorization": f"Bearer {token}"})
        assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
        assert (await lab.listen(token)).status == 503
        assert lab.gate.refused == {"unavailable": 5}
        lines = [line for line in recorder.lines if "ERROR" in line]
        assert lines == ["ERROR labkit.auth.gate cannot authenticate anyone: ConnectionError"] * 5
        assert found_in({"ours": recorder.lines}, [token, "hunter2@db"]) == {"ours": 0}


async def test_a_verification_that_hangs_ends_with_the_deadline():
    """1013, and no call is left running behind it."""
    running, app = [], FastAPI()
    gate = Gate(Live(), timeout_s=0.1)

    async def hangs(token):
        running.append(token)
        try:
            await asyncio.Event().wait()
        finally:
            running.remove(token)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        assert await gate.websocket(websocket, "a token", hangs) is None

    async with LiveServer(app) as server:
        clients = await asyncio.gather(
            *(WebSocketClient.connect(f"{server.ws_url}/ws") for _ in range(5))
        )
        assert {(await client.closed()).code for client in clients} == {1013}
        assert running == []


@pytest.mark.parametrize("door", ["/slow", "/first"])
async def test_clients_that_do_not_wait_leave_nothing_behind(service, door):
    """They vanish while their token is verified: no traceback, no lease, no connection."""
    async with service() as lab:
        arrived, token, go = [], lab.token(), asyncio.Event()

        async def slow(shown):
            arrived.append(shown)
            await go.wait()
            return lab.tokens.verify(shown)

        lab.verify = slow
        lab.gate.timeout_s = 5

        @lab.app.websocket("/slow")
        async def endpoint(websocket: WebSocket):
            await lab.converse(websocket, await lab.gate.websocket(websocket, token, slow))

        sockets = [await _open(lab.server, door, token) for _ in range(3)]
        await until(lambda: len(arrived) == 3)
        for socket in sockets:
            socket.transport.abort()
        await until(lambda: lab.server.connections == 0)
        go.set()
        await until(lambda: len(lab.live) == 0)
        assert (await lab.enter()).open
        assert len(lab.live) == 1
        assert not [record for record in lab.server.log if record.levelname == "ERROR"]


async def _open(server, path, token):
    """Send a handshake, and a first message behind it, and wait for nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    if path == "/first":
        await reader.readuntil(b"\r\n\r\n")
        message = f'{{"type":"auth","token":"{token}"}}'.encode()
        writer.write(b"\x81\xfe" + len(message).to_bytes(2, "big") + bytes(4) + message)
    return writer


async def test_a_bug_in_verification_is_a_bug(service):
    """It is neither a wrong token nor an outage: 500, with a traceback in the log."""
    app, gate = FastAPI(), Gate(Live())

    def broken(token) -> Identity:
        return {}["user"]

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await gate.websocket(websocket, "a token", broken)

    async with LiveServer(app) as server:
        with pytest.raises(Rejected) as caught:
            await WebSocketClient.connect(f"{server.ws_url}/ws")
        assert caught.value.status == 500
        assert any("KeyError" in (record.exc_text or "") for record in server.log)
        assert not gate.refused


async def test_two_tokens_are_none(service):
    """Which of them counts is not a question to answer."""
    async with service() as lab:
        token = lab.token()
        offered = ["app.v1", f"bearer.{token}", "bearer.x"]
        client = await lab.join("/proto", subprotocols=offered)
        assert await client.closed() == Closed(4500, "missing")
