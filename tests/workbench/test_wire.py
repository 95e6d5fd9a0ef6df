"""The wire view records real conversations and shows them the same way every time."""

import asyncio

import pytest
from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.server import LiveServer
from labkit.workbench.frames import End, Entry
from labkit.workbench.wire import Wire


def entry(source, target, text="x", kind="text"):
    return Entry(source, target, kind, text, 0, End.ARRIVED)


def filled(*rows):
    wire = Wire()
    wire.tap(None)
    for row in rows:
        wire.record(entry(*row))
    return wire


def echo():
    app = FastAPI()

    @app.websocket("/ws")
    async def socket(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


async def test_real_conversation_reads_as_it_happened():
    """A client of a live server is seen from the handshake to its close, under its own name."""
    wire = Wire()
    async with LiveServer(wire.tap(echo())) as server:
        async with await WebSocketClient.connect(f"{server.ws_url}/ws", name="ada") as ada:
            await ada.send("hello")
            await ada.receive()
        await wire.until("ada", "close")
    assert str(wire.show()).splitlines() == [
        "ada    → server  connect /ws",
        "server → ada     accept",
        "ada    → server  text    hello",
        "server → ada     text    hello",
        "ada    → server  close   1000",
    ]


async def test_slow_reader_is_an_arrow_without_an_end():
    """A real client that reads nothing makes a real send wait, and only its arrow has no end."""
    wire, joined = Wire(), []

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        joined.append(send)
        await receive()
        await receive()

    async def flood(send):
        for _ in range(1000):  # 60 MB: more than any socket buffer holds
            await send({"type": "websocket.send", "text": "x" * 60_000})

    async with LiveServer(wire.tap(app)) as server:
        eve = await StalledReader.connect(f"{server.ws_url}/ws", name="eve")
        try:
            flooding = asyncio.ensure_future(flood(joined[0]))
            await asyncio.wait({flooding}, timeout=0.5)
            ends = [frame.end for frame in wire.frames if frame.kind == "text"]
            assert ends[-1] is End.WAITING
            assert set(ends[:-1]) <= {End.ARRIVED}
            assert "(no end yet: the send still waits)" in str(wire.show(last=1))
        finally:
            eve.close()
        await asyncio.wait({flooding}, timeout=5)
    assert isinstance(flooding.exception(), OSError)
    assert next(f for f in reversed(wire.frames) if f.kind == "text").end is End.CUT


async def test_clients_without_a_name_are_counted():
    """Who sends no name is client 1, client 2, … and keeps it for the life of the connection."""
    wire = Wire()

    async def app(scope, receive, send):
        pass

    for port in (1, 2, 1):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("h", port)}
        await wire.tap(app)(scope, None, None)
    requests = [frame.source for frame in wire.frames if frame.kind == "request"]
    assert requests == ["client 1", "client 2", "client 1"]


def test_oldest_frames_are_dropped_and_counted():
    """A wire is bounded, and says how much it forgot."""
    wire = Wire(max_events=3)
    for number in range(5):
        wire.record(entry("ada", "server", str(number)))
    assert [frame.text for frame in wire.frames] == ["2", "3", "4"]
    assert wire.dropped == 2


def test_bound_of_nothing_is_refused():
    """A wire that keeps nothing is a mistake, and the message says what to give."""
    with pytest.raises(ValueError, match="max_events=0 keeps nothing"):
        Wire(max_events=0)


def test_clear_forgets():
    """After clear the wire is as new."""
    wire = filled(("ada", "server"))
    wire.clear()
    assert wire.frames == ()
    assert wire.dropped == 0


def test_show_keeps_both_ends_around_a_gap():
    """The middle is left out, and the gap shows no count that could vary."""
    wire = filled(*[("ada", "server", str(number)) for number in range(9)])
    shown = [line.split()[-1] for line in str(wire.show(first=2, last=1)).splitlines()]
    assert shown == ["0", "1", "⋮", "8"]
    assert "⋮" not in str(wire.show(first=2, last=7))


def test_only_and_hide_choose_frames():
    """Actors are chosen by name, frames hidden by kind or by a word in them."""
    wire = filled(
        ("ada", "server", "", "accept"),
        ("bob", "server", "b"),
        ("server", "ada", '"ping"'),
        ("server", "ada", "a"),
    )
    picture = wire.show(only=["ada"], hide=["ping", "accept"])
    assert [frame.text for frame in picture.frames] == ["a"]
    assert picture.actors == ("ada", "server")


def test_group_makes_the_order_between_clients_irrelevant():
    """Two interleavings of the same conversations give the same picture."""
    one = filled(("ada", "server", "1"), ("bob", "server", "1"), ("server", "ada", "2"))
    other = filled(("bob", "server", "1"), ("ada", "server", "1"), ("server", "ada", "2"))
    assert one.show(group=True).html() == other.show(group=True).html()
    assert one.show().html() != other.show().html()


def test_clients_are_ordered_as_people_count():
    """Client 10 stands after client 2."""
    wire = filled(("client 10", "server"), ("client 2", "server"))
    assert wire.show().actors == ("client 2", "client 10", "server")


def test_ids_become_numbers_in_order_of_appearance():
    """Server-made ids are the same in every run, and the same id keeps its number."""
    first, second = "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "0123456789abcdef0123"
    wire = filled(("ada", "server", first), ("ada", "server", second), ("ada", "server", first))
    assert [frame.text for frame in wire.show().frames] == ["#1", "#2", "#1"]
    assert wire.frames[0].text == first


def test_ordinary_words_and_numbers_are_no_ids():
    """Prices, counters and long words stay what they are."""
    texts = ["12.5", "1013", "effaceddecade", '{"n":42}']
    wire = filled(*[("ada", "server", text) for text in texts])
    assert [frame.text for frame in wire.show().frames] == texts


def test_mask_hides_what_varies():
    """A counter that differs from run to run is an ellipsis."""
    wire = filled(("ada", "server", '{"n": 61}'))
    assert wire.show(mask=[r"\d+"]).frames[0].text == '{"n": …}'


async def test_until_waits_for_a_frame():
    """Waiting for a frame ends when it crosses."""
    wire = filled(("ada", "server"))
    waiting = asyncio.ensure_future(wire.until("eve", "close"))
    await asyncio.sleep(0)
    wire.record(entry("eve", "server", "1000", "close"))
    assert (await waiting).text == "1000"


async def test_until_gives_up_with_a_sentence():
    """A frame that never comes is a sentence, not a hang."""
    with pytest.raises(TimeoutError, match=r"no close of eve crossed the wire in 0\.01 s"):
        await Wire().until("eve", "close", timeout_s=0.01)


class Displays(list):
    """What was displayed, and an event for the first update of it."""

    def __init__(self):
        super().__init__()
        self.updated = asyncio.Event()


@pytest.fixture
def displays(monkeypatch):
    """Collect what would be displayed, and updates of it."""
    shown = Displays()

    class Handle:
        def update(self, data, *, raw):
            shown.append(("update", data["text/plain"]))
            shown.updated.set()

    def display(data, *, raw, display_id=False):
        shown.append(("display", data["text/plain"]))
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return shown


async def test_live_displays_once_at_the_end_when_static(displays, monkeypatch):
    """In a test or a build there is one final picture and no update."""
    monkeypatch.setenv("LABKIT_CI", "1")
    wire = filled()
    async with wire.live():
        wire.record(entry("ada", "server", "hello"))
    assert displays == [("display", "ada → server  text    hello")]


async def test_live_picture_grows_while_the_body_runs(displays, monkeypatch):
    """In JupyterLab the picture is updated before the cell ends, and is final at its end."""
    monkeypatch.delenv("LABKIT_CI", raising=False)
    wire = filled()
    async with asyncio.timeout(5), wire.live():
        assert displays == [("display", "nothing crossed the wire")]
        wire.record(entry("ada", "server", "1"))
        wire.record(entry("ada", "server", "2"))
        await displays.updated.wait()
        assert displays[1][1].endswith("2")
        wire.record(entry("ada", "server", "3"))
    assert displays[-1] == ("update", displays[-1][1])
    assert displays[-1][1].endswith("3")
    wire.record(entry("ada", "server", "4"))
    assert not displays[-1][1].endswith("4")
