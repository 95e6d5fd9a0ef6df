"""Raw ASGI messages are sorted by what they hold; a binary header is not believed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.websocket.binary import Gone, Packet, payload_of


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ({"text": "hi"}, "hi"),
        ({"bytes": b"hi"}, b"hi"),
        ({"text": None, "bytes": b"hi"}, b"hi"),
        ({"text": "hi", "bytes": None}, "hi"),
        ({"text": ""}, ""),
        ({"text": None, "bytes": b""}, b""),
    ],
)
def test_the_other_key_may_be_missing_or_none(message, payload):
    """Servers differ in what they leave out; empty messages are messages."""
    assert payload_of({"type": "websocket.receive", **message}) == payload


def test_a_disconnect_is_not_a_message():
    """The code and the reason are kept; without a code it is 1005 (RFC 6455 §7.1.5)."""
    assert payload_of({"type": "websocket.disconnect", "code": 1001, "reason": "bye"}) == Gone(
        1001, "bye"
    )
    assert payload_of({"type": "websocket.disconnect"}) == Gone(1005, "")


def test_a_message_with_nothing_in_it_is_an_error():
    """A server that sends neither text nor bytes breaks the specification."""
    with pytest.raises(ValueError, match="neither text nor bytes"):
        payload_of({"type": "websocket.receive", "text": None})


@given(st.integers(0, 255), st.binary(max_size=300))
def test_packets_survive_the_round_trip(kind, body):
    """What is packed is what is unpacked."""
    assert Packet.unpack(Packet(kind, body).pack()) == Packet(kind, body)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "header alone has 6"),
        (b"\x01\x00\x00\x00\x00", "header alone has 6"),
        (b"\x02\x00\x00\x00\x00\x00", "version is 2"),
        (b"\x01\x00\x00\x00\x00\x05hi", "length is 5, but 2 bytes follow"),
        (b"\x01\x00\x00\x00\x00\x01hi", "length is 1, but 2 bytes follow"),
        (b"\x01\x00\xff\xff\xff\xff", "at most 65536"),
    ],
)
def test_a_header_that_lies_is_refused(data, fault):
    """Each lie is named."""
    with pytest.raises(ValueError, match=fault):
        Packet.unpack(data)


@given(st.binary(max_size=64))
def test_unpack_raises_value_error_and_nothing_else(data):
    """No bytes at all get past the two outcomes."""
    with suppress(ValueError):
        assert Packet.unpack(data).pack() == data


def test_a_kind_has_one_byte():
    """A kind that does not fit is refused when packing."""
    with pytest.raises(ValueError, match="kind is 256"):
        Packet(256, b"").pack()
