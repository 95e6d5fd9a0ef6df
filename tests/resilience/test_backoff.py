"""When a client comes back: spread from the first attempt on, and not at all after a stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture import CloseCode
from labkit.resilience import Backoff, backoff_s


def upper(_low, high):
    """Choose the longest wait."""
    return high


def lower(low, _high):
    """Choose the shortest wait."""
    return low


def waits(backoff, count, code=1006):
    """Return the waits after so many connections that did not come about."""
    return [backoff.after(code) for _ in range(count)]


def test_the_first_wait_is_spread_over_five_seconds():
    """RFC 6455 §7.2.3: all clients of a server that restarts lose it in the same moment."""
    assert waits(Backoff(uniform=upper), 1) == [5]
    assert waits(Backoff(uniform=lower), 1) == [0]


def test_waits_double_to_the_cap_and_stay_there():
    """Truncated binary exponential back-off."""
    assert waits(Backoff(first_s=1, cap_s=10, uniform=upper), 6) == [1, 2, 4, 8, 10, 10]


def test_at_the_cap_the_waits_are_still_spread():
    """The jitter is drawn below the cap, not added and cut off."""
    assert waits(Backoff(first_s=1, cap_s=10, uniform=lower), 6) == [0] * 6
    fleet = {Backoff().after(1006) for _ in range(100)}
    assert len(fleet) == 100


def test_an_attempt_far_away_does_not_overflow():
    """A client that has tried for a year waits no longer than the cap."""
    backoff = Backoff(uniform=upper)
    backoff.attempts = 1_000_000
    assert backoff.after(1006) == 60


def test_only_a_connection_that_lasted_starts_anew():
    """A server that accepts and dies at once is not a healthy one."""
    backoff = Backoff(first_s=1, cap_s=10, stable_s=30, uniform=upper)
    assert backoff.after(1006) == 1
    assert backoff.after(1011, lasted_s=29) == 2
    assert backoff.after(1011, lasted_s=30) == 1


@pytest.mark.parametrize("code", list(CloseCode))
def test_every_code_is_obeyed(code):
    """A code that means stop gives no wait at all, and counts as no attempt."""
    backoff = Backoff()
    assert (backoff.after(code) is not None) is code.reconnect
    assert backoff.attempts == code.reconnect


@pytest.mark.parametrize(("first_s", "cap_s"), [(0, 1), (-1, 1), (2, 1)])
def test_bounds_that_make_no_sense_are_refused(first_s, cap_s):
    """The message names the field."""
    with pytest.raises(ValueError, match="first_s is"):
        Backoff(first_s=first_s, cap_s=cap_s)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.01, 100))
def test_no_wait_is_ever_outside_its_bounds(attempt, first_s, cap_s):
    """Whatever the attempt, between nothing and the cap."""
    assert 0 <= backoff_s(attempt, first_s=first_s, cap_s=cap_s) <= cap_s
