"""Field types for what strangers write."""

import json
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.architecture import BadMessage, ClientMessage, Vocabulary
from labkit.security import bounded_json, bounded_text
from labkit.testing.hostile import ANSWERED, ERROR, messages
from tests.security.conftest import VALID, Note, Say

VOCABULARY = Vocabulary(Say, Note)


def accepted(text, vocabulary=VOCABULARY):
    """Say whether the vocabulary takes the message; anything but `BadMessage` is an error."""
    try:
        vocabulary.parse(text)
    except BadMessage:
        return False
    return True


def say(text):
    """Return a message with that text."""
    return json.dumps({"type": "say", "text": text})


def note(**data):
    """Return a message with that object."""
    return json.dumps({"type": "note", "data": data})


ROWS = [row for row in messages(VALID, "data") if isinstance(row.sent, str)]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_matrix_holds_without_a_network(row):
    """Every row is accepted or a `BadMessage`, whatever the size limit would have said."""
    assert accepted(row.sent) is (row.promise == (ANSWERED,)), ERROR


@pytest.mark.parametrize("text", ["hi", "ça va? 🙂", "two\nlines\tand a tab", "x" * 2000])
def test_people_may_write_what_people_write(text):
    """Any script, emoji, lines."""
    assert accepted(say(text))


@pytest.mark.parametrize(
    "text",
    ["", "x" * 2001, "a\x00b", "bell\x07", "\u202eevil", "\u2028", "\ue000", "\r\n"],
    ids=["empty", "long", "nul", "bell", "right to left", "separator", "private", "return"],
)
def test_what_cannot_be_seen_is_refused(text):
    """Control characters and turned directions are for attacks on readers."""
    assert not accepted(say(text))


def test_one_line_is_one_line():
    """Without `lines`, a break is refused as well."""

    class Name(ClientMessage):
        type: Literal["name"]
        name: bounded_text(max_chars=10)

    vocabulary = Vocabulary(Name)
    assert accepted('{"type": "name", "name": "Ada"}', vocabulary)
    assert not accepted('{"type": "name", "name": "A\\nda"}', vocabulary)


def test_a_bound_below_one_is_an_error():
    """It would refuse everything."""
    with pytest.raises(ValueError, match="max_chars is 0"):
        bounded_text(max_chars=0)


@pytest.mark.parametrize(
    ("data", "truth"),
    [
        ({"a": [{"b": None}], "c": True, "d": 1.5}, True),
        ({"n": 2**53 - 1}, True),
        ({"n": 2**53}, False),
        ({"n": -(2**53)}, False),
        ({"a": [0] * 99}, True),
        ({"a": [0] * 100}, False),
        ({"a": "x" * 2001}, False),
        ({"x" * 2001: 1}, False),
        ({"a": [[[[[[[]]]]]]]}, True),
        ({"a": [[[[[[[[]]]]]]]]}, False),
    ],
)
def test_an_object_is_bounded_in_every_direction(data, truth):
    """Depth, width, texts, keys, and integers that a browser reads exactly."""
    assert accepted(note(**data)) is truth


def test_the_bounds_are_the_application_s():
    """Each may be set."""

    class Tiny(ClientMessage):
        type: Literal["tiny"]
        data: bounded_json(max_depth=1, max_items=1, max_chars=1)

    vocabulary = Vocabulary(Tiny)
    assert accepted('{"type": "tiny", "data": {"a": "b"}}', vocabulary)
    for data in ('{"a": {}}', '{"a": 1, "b": 2}', '{"a": "bc"}'):
        assert not accepted(f'{{"type": "tiny", "data": {data}}}', vocabulary)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | JSON.map(json.dumps))
def test_nothing_but_bad_message_comes_out(text):
    """Whatever is sent, there is one exception."""
    accepted(text)


@settings(max_examples=50)
@given(JSON, JSON)
def test_nothing_but_bad_message_comes_out_of_a_field(text, data):
    """The same for anything in the right places."""
    accepted(json.dumps({"type": "say", "text": text}))
    accepted(json.dumps({"type": "note", "data": data}))


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_what_is_accepted_can_be_sent_to_everyone(data):
    """An object that came in goes out again as valid JSON."""
    text = json.dumps({"type": "note", "data": data})
    if accepted(text):
        again = json.dumps(VOCABULARY.parse(text).data, allow_nan=False, ensure_ascii=False)
        assert json.loads(again.encode()) == data
