"""Bytes to events and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sse.format import Event, Parser, comment, encode, encode_silent

CASES = json.loads(Path(__file__).with_name("wire_cases.json").read_text(encoding="utf-8"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))
EVENTS = st.builds(
    Event,
    data=TEXT,
    event=st.none() | ONE_LINE.filter(bool),
    id=st.none() | ONE_LINE,
    retry_ms=st.none() | st.integers(0, 10**15 - 1),
)


def wire_of(case):
    """Give the bytes of a case; lone low surrogates stand for bytes that are not UTF-8."""
    return case["wire"].encode("utf-8", "surrogateescape")


def as_received(event: Event) -> Event:
    """A line end is a line end: on the wire CR LF, CR and LF are the same."""
    data = event.data.replace("\r\n", "\n").replace("\r", "\n")
    return Event(data, event.event, event.id, event.retry_ms)


@given(st.lists(EVENTS))
def test_what_is_encoded_is_parsed_back(events):
    """Every event that can be encoded comes back as it was."""
    wire = b"".join(map(encode, events))
    assert Parser().feed(wire) == [as_received(event) for event in events]


@given(st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(data):
    """The network may cut anywhere: in a character, between CR and LF, in the byte order mark."""
    wire = wire_of(data.draw(st.sampled_from(CASES))) * 2
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)))))
    whole, pieces = Parser(), Parser()
    expected = whole.feed(wire)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        received += pieces.feed(wire[start:end])
    assert received == expected
    assert pieces.last_event_id == whole.last_event_id
    assert (pieces.retry_ms, pieces.comments) == (whole.retry_ms, whole.comments)


@given(st.binary())
def test_any_bytes_at_all_are_survived(wire):
    """A parser meets hostile servers: it never raises for what fits its bound."""
    Parser().feed(wire)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_stream_is_interpreted_as_browsers_do(case):
    """The rules of WHATWG HTML §9.2.6, one by one, byte by byte."""
    parser = Parser()
    received = []
    for byte in wire_of(case):
        received += [
            [event.event or "message", event.data, parser.last_event_id]
            for event in parser.feed(bytes([byte]))
        ]
    assert received == case["events"]
    assert parser.retry_ms == case.get("retry_ms")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event("x", id="1\n2"), "id has a line break"),
        (Event("x", id="1\r2"), "id has a line break"),
        (Event("x", id="1\0"), "id has a NUL"),
        (Event("x", event="a\nb"), "event has a line break"),
        (Event("x", event="a\rb"), "event has a line break"),
        (Event("\ud800"), "data has half of a surrogate pair"),
        (Event("x", event="\ud800"), "event has half of a surrogate pair"),
        (Event("x", id="\udfff"), "id has half of a surrogate pair"),
        (Event("x", retry_ms=-1), "retry_ms is -1"),
        (Event("x", retry_ms=1.5), "retry_ms is 1.5"),
        (Event({"a": 1}), "data is dict: give text"),
        (Event(None), "data is NoneType: give text"),
    ],
)
def test_an_event_that_the_wire_cannot_tell_is_refused(event, message):
    """The error names the field and the cure; nothing is silently changed."""
    with pytest.raises(ValueError, match=message):
        encode(event)


def test_an_event_is_readable_on_the_wire():
    """Id and retry come first, so that they count even if the rest is cut."""
    wire = encode(Event("two\nlines", event="note", id="e:7", retry_ms=500))
    assert wire == b"id: e:7\nretry: 500\nevent: note\ndata: two\ndata: lines\n\n"


def test_an_empty_event_type_is_the_default_type():
    """The empty string and None are the same type, `message`."""
    assert encode(Event("x", event="")) == encode(Event("x"))


def test_a_silent_block_moves_the_position_and_dispatches_nothing():
    """A stream can tell where it stands before its first event."""
    parser = Parser()
    assert parser.feed(encode_silent(event_id="e:7", retry_ms=250)) == []
    assert (parser.last_event_id, parser.retry_ms) == ("e:7", 250)


def test_a_comment_is_counted_and_dispatches_nothing():
    """A keep-alive reaches no page, in however many lines it comes."""
    parser = Parser()
    assert parser.feed(comment("keep\nalive") + comment()) == []
    assert parser.comments == 3


def test_a_comment_cannot_smuggle_an_event():
    """A line break in a comment starts another comment."""
    assert Parser().feed(comment("x\n\ndata: evil\r\rdata: evil")) == []


def test_an_unfinished_event_is_not_dispatched_and_keeps_no_id():
    """A connection that breaks inside an event has not delivered it: it will come again."""
    parser = Parser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_event_id == "1"


def test_a_resumed_parser_remembers_the_last_event_id():
    """A new connection starts with what the client knew."""
    parser = Parser(last_event_id="e:7")
    parser.feed(b"data: no id\n\n")
    assert parser.last_event_id == "e:7"


@pytest.mark.parametrize(
    "wire",
    [b"x" * 65, b"data: " + b"x" * 65, b"data: xxxx\n" * 20, b"id: " + b"x" * 65 + b"\n"],
    ids=["endless line", "one line", "many lines", "id"],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_without_end_is_refused(wire, step):
    """What is kept is bounded, however slowly it grows."""
    parser = Parser(max_event_bytes=64)
    chunks = [wire[start : start + step] for start in range(0, len(wire), step)]
    with pytest.raises(ValueError, match="max_event_bytes"):
        list(map(parser.feed, chunks))


def test_many_small_events_are_not_one_large_event():
    """The bound is for one event, not for the stream."""
    parser = Parser(max_event_bytes=16)
    assert len(parser.feed(b"data: x\n\n" * 1000)) == 1000


def test_a_parser_without_room_is_refused():
    """A bound below one byte is a mistake."""
    with pytest.raises(ValueError, match="max_event_bytes is 0"):
        Parser(max_event_bytes=0)


def test_a_retry_of_thousands_of_digits_is_ignored():
    """int() of that many digits raises, and a hostile server knows."""
    parser = Parser()
    parser.feed(b"retry: " + b"9" * 5000 + b"\n\n")
    assert parser.retry_ms is None
