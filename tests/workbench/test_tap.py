"""The tap watches an ASGI conversation and changes nothing in it."""

import asyncio

import pytest

from labkit.workbench.frames import End
from labkit.workbench.wire import Wire

SCOPE = {"type": "websocket", "path": "/ws", "headers": [(b"x-lab-client", b"ada")]}
HTTP = {"type": "http", "method": "GET", "path": "/events", "headers": [(b"last-event-id", b"a:2")]}


async def run(app, *messages, scope=SCOPE, send=None):
    """Run `app` behind a tap on a scripted server; return the wire and what was sent."""
    wire, waiting, sent = Wire(), list(messages), []

    async def receive():
        return waiting.pop(0)

    async def keep(message):
        sent.append(message)

    failure = None
    try:
        await wire.tap(app)(scope, receive, send or keep)
    except Exception as error:  # noqa: BLE001 - the tests look at it
        failure = error
    return wire, sent, failure


def lines(wire):
    return [f"{f.source} {f.end.name} {f.target} {f.kind} {f.text}".rstrip() for f in wire.frames]


async def test_messages_pass_unchanged_and_in_order():
    """What the application receives and sends is what the server had and gets."""
    text = {"type": "websocket.receive", "text": "hi"}
    seen = []

    async def app(scope, receive, send):
        seen.extend([await receive(), await receive()])
        await send({"type": "websocket.accept", "subprotocol": "chat.v1"})
        await send({"type": "websocket.send", "bytes": b"\x00\x01"})
        await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})

    wire, sent, _ = await run(app, {"type": "websocket.connect"}, text)
    assert seen[1] is text
    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    assert lines(wire) == [
        "ada ARRIVED server connect /ws",
        "ada ARRIVED server text hi",
        "server ARRIVED ada accept chat.v1",
        "server ARRIVED ada binary 2 B  00 01",
        'server ARRIVED ada close 1013 "too slow"',
    ]


async def test_send_driven_by_hand_completes_without_a_suspension():
    """An outbox that steps a send once learns that it did not wait, as it would without the tap."""
    steps = []

    async def app(scope, receive, send):
        step = send({"type": "websocket.send", "text": "x"})
        try:
            step.send(None)
        except StopIteration:
            steps.append("finished at once")

    wire, _, _ = await run(app)
    assert steps == ["finished at once"]
    assert wire.frames[1].end is End.ARRIVED


async def test_waiting_send_is_a_frame_without_an_end():
    """While the server's send waits, the frame waits; afterwards it has arrived."""
    entered, room = asyncio.Event(), asyncio.Event()

    async def slow(message):
        entered.set()
        await room.wait()

    async def app(scope, receive, send):
        await send({"type": "websocket.send", "text": "x"})

    wire = Wire()
    task = asyncio.ensure_future(wire.tap(app)(SCOPE, None, slow))
    async with asyncio.timeout(5):
        await entered.wait()
        assert wire.frames[1].end is End.WAITING
        room.set()
        await task
    assert wire.frames[1].end is End.ARRIVED


async def test_cancelled_send_is_cut():
    """A send that is given up is drawn as failed, and the cancellation goes on."""
    wire = Wire()

    async def never(message):
        await asyncio.Event().wait()

    async def app(scope, receive, send):
        async with asyncio.timeout(0.01):
            await send({"type": "websocket.send", "text": "x"})

    with pytest.raises(TimeoutError):
        await wire.tap(app)(SCOPE, None, never)
    assert wire.frames[1].end is End.CUT


async def test_failed_send_is_cut_and_raises():
    """A send to a client that is gone fails in the application as it did in the server."""

    async def gone(message):
        raise OSError

    async def app(scope, receive, send):
        await send({"type": "websocket.send", "text": "x"})

    wire, _, failure = await run(app, send=gone)
    assert isinstance(failure, OSError)
    assert lines(wire)[1:] == ["server CUT ada text x"]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"code": 1001, "reason": "bye"}, 'ada ARRIVED server close 1001 "bye"'),
        ({"code": 1005, "reason": ""}, "ada ARRIVED server close 1005"),
        ({"code": 1006}, "ada CUT server lost without a close frame"),
        ({"code": 1012}, "server ARRIVED ada close 1012"),
        ({"code": 1009, "reason": "too big"}, 'server ARRIVED ada close 1009 "too big"'),
    ],
)
async def test_disconnect_names_who_closed(message, line):
    """A close frame, a lost connection and the server's own close are three different things."""

    async def app(scope, receive, send):
        await receive()

    wire, _, _ = await run(app, {"type": "websocket.disconnect", **message})
    assert lines(wire)[1:] == [line]


async def test_own_close_is_recorded_once():
    """The disconnect that follows the application's own close says nothing new."""

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        await receive()

    wire, _, _ = await run(app, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    assert [frame.kind for frame in wire.frames] == ["connect", "accept", "close"]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "websocket.close"}, "403 Forbidden"),
        (
            {"type": "websocket.http.response.start", "status": 429, "headers": []},
            "429 Too Many Requests",
        ),
    ],
)
async def test_refused_handshake_is_a_reject_with_its_status(message, status):
    """Before accept, a close is an HTTP refusal."""

    async def app(scope, receive, send):
        await send(message)

    wire, _, _ = await run(app)
    assert lines(wire)[1:] == [f"server ARRIVED ada reject {status}"]


async def test_handler_that_fails_or_returns_leaves_the_client_without_a_close():
    """The server then drops the connection, and the wire says so."""

    async def fails(scope, receive, send):
        raise ValueError("boom")

    async def returns(scope, receive, send):
        pass

    wire, _, failure = await run(fails)
    assert isinstance(failure, ValueError)
    assert lines(wire)[1:] == ["server CUT ada error ValueError"]
    wire, _, _ = await run(returns)
    assert lines(wire)[1:] == ["server CUT ada lost without a close frame"]


async def test_event_stream_is_split_into_readable_lines():
    """Each event of a chunk is one line, with any line ending; the end of the stream is said."""
    body = b"retry: 3000\r\n\r\nid: 3\r\nevent: tick\r\ndata: {}\r\n\r\n: keep-alive\n\ndata: half"

    async def app(scope, receive, send):
        headers = [(b"Content-Type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    wire, sent, _ = await run(app, scope=HTTP)
    assert sent[1]["body"] is body
    assert [(frame.kind, frame.text) for frame in wire.frames] == [
        ("request", "GET /events  Last-Event-ID: a:2"),
        ("status", "200 text/event-stream"),
        ("sse", "retry: 3000"),
        ("sse", "id: 3 · event: tick · data: {}"),
        ("sse", ": keep-alive"),
        ("sse", "data: half"),
        ("end", "of the stream"),
    ]


async def test_stream_that_fails_is_cut():
    """An event stream without an end, because its handler failed, is not a clean one."""

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise LookupError

    wire, _, _ = await run(app, scope=HTTP)
    assert lines(wire)[-1].endswith("error LookupError")
    assert wire.frames[-1].end is End.CUT


async def test_plain_response_shows_its_body():
    """JSON is shown, other content is named by its type; a request body is shown too."""

    async def app(scope, receive, send):
        await receive()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"ok":true}'})

    wire, _, _ = await run(app, {"type": "http.request", "body": b"text"}, scope=HTTP)
    assert [f"{frame.kind} {frame.text}" for frame in wire.frames[1:]] == [
        "body text",
        "status 201 application/json",
        'body {"ok":true}',
    ]


async def test_client_that_leaves_a_stream_is_lost():
    """A disconnect in the middle of a response comes from the client."""

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await receive()

    wire, _, _ = await run(app, {"type": "http.disconnect"}, scope=HTTP)
    assert (wire.frames[-1].kind, wire.frames[-1].end) == ("lost", End.CUT)
    assert wire.frames[-1].target == "server"


async def test_sizes_are_bytes_and_long_texts_are_not_kept():
    """A large message costs a few hundred characters, and its size is that of its UTF-8."""

    async def app(scope, receive, send):
        await send({"type": "websocket.send", "text": "é" * 100_000})

    wire, _, _ = await run(app)
    assert wire.frames[1].size == 200_000
    assert len(wire.frames[1].text) <= 400


async def test_lifespan_passes_by():
    """What is no conversation with a client is not recorded."""

    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.complete"})

    wire, sent, _ = await run(app, scope={"type": "lifespan"})
    assert sent
    assert wire.frames == ()
