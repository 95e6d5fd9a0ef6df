"""A backlog cannot grow, and counts what it loses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture.backlog import Backlog, Overflow


def filled(overflow, count=3, max_items=3):
    """Return a backlog with the items 0 to count - 1, one byte each."""
    backlog = Backlog(max_items=max_items, overflow=overflow)
    for item in range(count):
        backlog.put(item, 1)
    return backlog


def test_keeps_order():
    """Items leave in the order they came."""
    assert filled(Overflow.DISCONNECT).drain() == [0, 1, 2]


def test_disconnect_refuses_what_does_not_fit():
    """Under DISCONNECT a full backlog refuses, and keeps what it has."""
    backlog = filled(Overflow.DISCONNECT)
    assert backlog.put(3, 1) is False
    assert (backlog.drain(), backlog.dropped) == ([0, 1, 2], 1)


def test_drop_oldest_keeps_the_newest():
    """Under DROP_OLDEST the newest always arrives."""
    backlog = filled(Overflow.DROP_OLDEST, count=5)
    assert (backlog.drain(), backlog.dropped) == ([2, 3, 4], 2)


def test_drop_newest_keeps_the_beginning():
    """Under DROP_NEWEST what was there first stays."""
    backlog = filled(Overflow.DROP_NEWEST, count=5)
    assert (backlog.drain(), backlog.dropped) == ([0, 1, 2], 2)


def test_keep_latest_holds_one_item_a_key():
    """Under KEEP_LATEST an item supersedes the waiting one of its key."""
    backlog = Backlog(max_items=3, overflow=Overflow.KEEP_LATEST)
    for item, key in [("a1", "a"), ("b1", "b"), ("a2", "a")]:
        backlog.put(item, 1, key)
    assert (backlog.drain(), backlog.dropped) == (["b1", "a2"], 1)


def test_keep_latest_without_room_drops_the_oldest_key():
    """With more keys than room, the key that waited longest goes."""
    backlog = Backlog(max_items=2, overflow=Overflow.KEEP_LATEST)
    for key in "abc":
        backlog.put(key, 1, key)
    assert backlog.drain() == ["b", "c"]


@pytest.mark.parametrize("overflow", Overflow)
def test_an_item_beyond_the_byte_bound_costs_nobody_else(overflow):
    """What can never fit is refused, and nothing that waits is lost for it."""
    backlog = Backlog(max_bytes=10, overflow=overflow)
    backlog.put("small", 5, "k")
    assert backlog.put("huge", 11, "k") is False
    assert (backlog.drain(), backlog.dropped) == (["small"], 1)


@pytest.mark.parametrize("name", ["max_items", "max_bytes"])
def test_a_bound_below_one_is_refused_by_name(name):
    """A backlog that can hold nothing is a mistake in the settings."""
    with pytest.raises(ValueError, match=name):
        Backlog(**{name: 0})


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([None, "a", "b"]), st.booleans())),
    st.sampled_from(Overflow),
)
def test_both_bounds_hold_whatever_happens(steps, overflow):
    """No sequence of puts and pops gets past a bound, loses the order or miscounts."""
    backlog = Backlog(max_items=4, max_bytes=20, overflow=overflow)
    popped, put = [], 0
    for number, (size, key, take) in enumerate(steps):
        backlog.put((number, size), size, key)
        put += 1
        assert len(backlog) <= 4
        assert backlog.bytes <= 20
        if take and backlog:
            popped.append(backlog.pop())
    popped += backlog.drain()
    assert popped == sorted(popped)
    assert len(popped) + backlog.dropped == put
    assert backlog.bytes == 0
