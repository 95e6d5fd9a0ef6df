"""Raw frames are drawn with what ASGI never sees."""

import pytest

from labkit.testing.wireframes import WireFrame
from labkit.workbench.rawwire import sequence_of


def test_every_opcode_reads_well():
    """Opcode, length, mask, fragments, close code and reason are all there."""
    frames = [
        WireFrame(1, "client", "TEXT", b"hel", fin=False, masked=True),
        WireFrame(1, "client", "CONT", b"lo", masked=True),
        WireFrame(1, "server", "TEXT", b"\x01\x02", compressed=True),
        WireFrame(2, "server", "PING", b"\xff"),
        WireFrame(2, "server", "CLOSE", b"", code=1013, reason="too slow"),
        WireFrame(1, "client", "CLOSE", b"", masked=True),
    ]
    assert str(sequence_of(frames, ("ada", "eve", "server"))).splitlines() == [
        "ada    → server  TEXT    3 B, masked, more follows  hel",
        "ada    → server  CONT    2 B, masked  lo",
        "server → ada     TEXT    2 B, compressed  01 02",
        "server → eve     PING    1 B  ff",
        'server → eve     CLOSE   1013 "too slow"',
        "ada    → server  CLOSE   without a code",
    ]


def test_connection_without_a_name_is_refused():
    """Too few actors is a sentence that says how many to give."""
    with pytest.raises(ValueError, match="connection 2 has no name: give 3 actors"):
        sequence_of([WireFrame(2, "client", "PING")])
