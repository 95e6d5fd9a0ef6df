"""Parsing believes nothing; encoding fails at the publisher."""

import datetime as dt
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture.messages import (
    BadMessage,
    ClientMessage,
    Ping,
    Subscribe,
    Vocabulary,
    binary,
    encode,
)

VOCABULARY = Vocabulary(Subscribe, Ping)


def refusal(text, vocabulary=VOCABULARY):
    """Return the error that parsing `text` raises."""
    with pytest.raises(BadMessage) as caught:
        vocabulary.parse(text)
    return caught.value


def test_a_good_message_becomes_its_model():
    """The type chooses the model, the fields are validated."""
    assert VOCABULARY.parse('{"type":"subscribe","topic":"news","id":"1"}') == Subscribe(
        type="subscribe", topic="news", id="1"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"type":"ping","id":NaN}', "bad_json"),
        ('"\\ud800"', "bad_json"),
        ("\ud800", "bad_json"),
        ("[1]", "not_an_object"),
        ("5", "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "unknown_type"),
        ('{"type":"fly"}', "unknown_type"),
        ('{"type":7}', "unknown_type"),
        ('{"type":"subscribe"}', "bad_field"),
        ('{"type":"subscribe","topic":["a"]}', "bad_field"),
        ('{"type":"subscribe","topic":""}', "bad_field"),
        ('{"type":"subscribe","topic":"*"}', "bad_field"),
        ('{"type":"subscribe","topic":"' + "x" * 256 + '"}', "bad_field"),
        ('{"type":"ping","id":5}', "bad_field"),
        ('{"type":"ping","admin":true}', "bad_field"),
    ],
)
def test_a_bad_message_is_refused_with_its_code(text, code):
    """Every way to be wrong has a code; none raises anything else."""
    assert refusal(text).code == code


def test_the_refusal_names_the_field():
    """The client's author learns which field to mend."""
    assert refusal('{"type":"subscribe"}').detail == "`topic` is missing"


def test_the_refusal_repeats_nothing_of_the_input():
    """An answer that quotes its input is a way to inject into logs and pages."""
    secret = "<script>hunter2"
    for text in (f'{{"type":"{secret}"}}', f'{{"type":"ping","{secret}":1}}', secret):
        assert secret not in str(refusal(text))


def test_the_refusal_carries_the_messages_own_id():
    """A client can match the error with what it sent, when its id is usable."""
    assert refusal('{"type":"fly","id":"42"}').ref == "42"
    assert refusal('{"type":"fly","id":["42"]}').ref is None


def test_a_number_too_large_for_a_float_is_refused():
    """1e999 is valid JSON, and infinity is no price."""

    class Bid(ClientMessage):
        type: Literal["bid"]
        price: float

    assert refusal('{"type":"bid","price":1e999}', Vocabulary(Bid, Ping)).code == "bad_field"


def test_a_vocabulary_of_one_type_knows_the_others_are_unknown():
    """With a single model a foreign type is still `unknown_type`."""

    class Say(ClientMessage):
        type: Literal["say"]
        text: str

    assert refusal('{"type":"fly","text":"x"}', Vocabulary(Say)).code == "unknown_type"


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_parse_raises_bad_message_and_nothing_else(text):
    """No text at all gets past the two outcomes."""
    try:
        assert isinstance(VOCABULARY.parse(text), ClientMessage)
    except BadMessage as error:
        assert error.code in {"bad_json", "not_an_object", "unknown_type", "bad_field"}


@pytest.mark.parametrize("others", [(), (Ping,)], ids=["one type", "several"])
def test_a_client_s_own_key_is_not_repeated(others):
    """A wrong value deep in a field is told by the field's name, which is ours."""

    class Count(ClientMessage):
        type: Literal["count"]
        of: dict[str, int]

    with pytest.raises(BadMessage) as error:
        Vocabulary(Count, *others).parse('{"type": "count", "of": {"hunter2": "x"}}')
    assert error.value.detail == "`of` has a wrong value"


def test_encode_leaves_out_what_is_none():
    """A field without a value is not sent."""
    assert encode("ok", ref=None, n=0).payload == '{"type":"ok","n":0}'


def test_encode_measures_bytes_not_characters():
    """The size is what the wire carries."""
    message = encode("say", text="é€")
    assert message.size == len(message.payload.encode())


@pytest.mark.parametrize(
    "value", [object(), float("nan"), "\ud800", dt.datetime.now(dt.UTC), {1, 2}]
)
def test_encode_refuses_at_the_publisher(value):
    """What JSON cannot hold never reaches a connection, and the type of message is named."""
    with pytest.raises(ValueError, match="'price' message"):
        encode("price", value=value)


def test_a_binary_message_is_sent_as_it_is():
    """Bytes are not encoded again."""
    assert (binary(b"\x00\xff").payload, binary(b"\x00\xff").size) == (b"\x00\xff", 2)
