"""Frames are read from bytes however they were cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from labkit.testing.wireframes import Chunk, WireFrame, decode

HEAD = b"GET /ws HTTP/1.1\r\nhost: x\r\nSec-WebSocket-Key: abc\r\n\r\n"
SCRIPT = [
    Frame(Opcode.TEXT, b"one", fin=False),
    Frame(Opcode.PING, b"\x01\x02"),
    Frame(Opcode.CONT, b" two"),
    Frame(Opcode.BINARY, b"x" * 70_000),
    Frame(Opcode.CLOSE, Close(1001, "away").serialize()),
]
WIRE = HEAD + b"".join(frame.serialize(mask=True) for frame in SCRIPT)


def from_client(*parts):
    return decode(Chunk(1, "client", part) for part in parts)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_cuts_do_not_matter(cuts):
    """The same frames come out wherever the bytes are cut."""
    edges = [0, *sorted(cuts), len(WIRE)]
    parts = [WIRE[start:end] for start, end in itertools.pairwise(edges)]
    assert from_client(*parts) == from_client(WIRE)


def test_every_field_is_there():
    """Opcode, payload, fin, mask, code and reason are what was sent."""
    frames = from_client(WIRE)
    assert [frame.opcode for frame in frames] == ["TEXT", "PING", "CONT", "BINARY", "CLOSE"]
    assert frames[0] == WireFrame(1, "client", "TEXT", b"one", fin=False, masked=True)
    assert (frames[4].code, frames[4].reason) == (1001, "away")
    assert [str(frame) for frame in frames] == [
        "client: TEXT one (more follows)",
        "client: PING 2 bytes",
        "client: CONT 4 bytes",
        "client: BINARY 70000 bytes",
        "client: CLOSE 1001 away",
    ]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "client: CLOSE without code"),
        (b"\x01", "client: CLOSE without code close frame too short"),
        (b"\x03\xe8\xff", "client: CLOSE without code"),
    ],
)
def test_an_odd_close_frame_is_shown_as_it_is(payload, words):
    """A close frame without a code, or with nonsense in it, is still a frame."""
    (frame,) = from_client(HEAD + Frame(Opcode.CLOSE, payload).serialize(mask=True))
    assert str(frame).startswith(words)
    assert frame.code is None


def test_bytes_that_are_no_frame_end_the_reading():
    """What the protocol forbids is one INVALID frame with the complaint, and the last."""
    hostile = Frame(Opcode.TEXT, b"hi").serialize(mask=False)
    frames = from_client(HEAD + hostile + SCRIPT[1].serialize(mask=True))
    assert frames == [WireFrame(1, "client", "INVALID", reason="incorrect masking")]


def test_compressed_frames_are_marked():
    """A message under permessage-deflate is shown by its size."""
    data = bytearray(Frame(Opcode.TEXT, b"zipped").serialize(mask=True))
    data[0] |= 0b0100_0000
    (frame,) = from_client(HEAD + bytes(data))
    assert frame.compressed
    assert str(frame) == "client: TEXT 6 bytes compressed"


def test_http_is_not_read_as_frames():
    """An exchange without a WebSocket handshake has no frames."""
    assert from_client(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x81\x85anything") == []
