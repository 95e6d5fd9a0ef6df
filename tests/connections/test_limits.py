"""Places are reserved in one step, counted by connection, and given back exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.connections.limits import AtCapacity, Capacity, block_of


def test_the_last_place_is_the_last():
    """One more is refused, with the limit that said no."""
    capacity = Capacity(server=2)
    capacity.reserve()
    capacity.reserve()
    with pytest.raises(AtCapacity, match="2 connections for one server") as caught:
        capacity.reserve()
    assert (caught.value.scope, caught.value.limit) == ("server", 2)
    assert capacity.in_use == 2


def test_full_is_said_before_anybody_is_refused():
    """A readiness probe reads it; it is about the server, not about one user."""
    capacity = Capacity(server=2, per_user=1)
    first = capacity.reserve(user="ada")
    assert not capacity.full
    capacity.reserve(user="bob")
    assert capacity.full
    first.release()
    assert not capacity.full


def test_connections_are_counted_and_not_names():
    """One user who connects twenty times takes twenty places."""
    capacity = Capacity(server=100, per_user=20)
    for _ in range(20):
        capacity.reserve(user="ada")
    assert capacity.in_use == 20
    with pytest.raises(AtCapacity) as caught:
        capacity.reserve(user="ada")
    assert caught.value.scope == "user"
    capacity.reserve(user="bob")


def test_a_place_that_is_given_back_is_free_once():
    """Releasing twice frees one place, not two."""
    capacity = Capacity(server=2)
    first, _second = capacity.reserve(), capacity.reserve()
    first.release()
    first.release()
    capacity.reserve()
    with pytest.raises(AtCapacity):
        capacity.reserve()


def test_a_failure_inside_gives_the_place_back():
    """Leaving the block does, however it is left."""
    capacity = Capacity(server=1)
    with pytest.raises(KeyError), capacity.reserve():
        raise KeyError
    assert capacity.in_use == 0


def test_being_refused_changes_nothing():
    """A limit that says no last has not used up the ones that said yes."""
    capacity = Capacity(server=10, per_user=10, per_address=1)
    capacity.reserve(user="ada", address="192.0.2.1")
    for _ in range(5):
        with pytest.raises(AtCapacity):
            capacity.reserve(user="ada", address="192.0.2.1")
    assert capacity.in_use == 1
    assert capacity.refused == {"address": 5}
    for number in range(2, 11):
        capacity.reserve(user="ada", address=f"192.0.2.{number}")


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_one_subscriber_is_one_address(address, block):
    """An IPv6 subscriber owns 2⁶⁴ addresses and still gets one share."""
    assert block_of(address) == block


def test_a_limit_of_nothing_is_refused():
    """The setting is named."""
    with pytest.raises(ValueError, match="the limit for one user is 0"):
        Capacity(per_user=0)


@given(st.lists(st.tuples(st.sampled_from(["ada", "bob", None]), st.booleans()), max_size=60))
def test_it_counts_what_is_held_and_no_more(steps):
    """After any coming and going the count is that of the places held, within the limits."""
    capacity, held = Capacity(server=5, per_user=3), []
    for user, come in steps:
        if come:
            try:
                held.append((user, capacity.reserve(user=user)))
            except AtCapacity as full:
                mine = [each for each in held if full.scope == "server" or each[0] == user]
                assert len(mine) == full.limit
        elif held:
            held.pop(0)[1].release()
        assert capacity.in_use == len(held) <= 5
    for _, slot in held:
        slot.release()
    assert capacity.in_use == 0
    assert not capacity._held
