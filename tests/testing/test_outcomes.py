"""What happened to a client reads as a sentence."""

from __future__ import annotations

from labkit.testing.outcomes import Disconnected, Rejected, Silence, Unreachable


def test_a_rejection_reads_as_status_and_body():
    """The text has the status, and the body where there is one."""
    assert str(Rejected(403, {}, b"")) == "HTTP 403"
    assert str(Rejected(503, {}, b"no seat \xff")) == "HTTP 503: no seat \ufffd"


def test_the_standard_exceptions_catch_them():
    """A deadline is a TimeoutError, and a lost or refused connection a ConnectionError."""
    assert issubclass(Silence, TimeoutError)
    assert issubclass(Disconnected, ConnectionError)
    assert issubclass(Unreachable, ConnectionError)
