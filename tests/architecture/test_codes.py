"""Close codes carry a verdict."""

import pytest

from labkit.architecture.codes import CloseCode, should_reconnect


@pytest.mark.parametrize("code", CloseCode)
def test_every_code_has_a_meaning_and_a_verdict(code):
    """Each code says in words why, and by a bool whether to come back."""
    assert code.meaning
    assert code.reconnect is should_reconnect(int(code))


def test_restart_and_overload_bring_clients_back():
    """A restart, a full house and a lost connection are no reason to stay away."""
    assert all(should_reconnect(code) for code in (1001, 1005, 1006, 1011, 1012, 1013, 4000))


def test_a_broken_rule_or_a_normal_end_does_not():
    """What the client did wrong stays wrong on the next attempt."""
    assert not any(should_reconnect(code) for code in (1000, 1003, 1007, 1008, 1009, 4500, 4999))


def test_a_code_is_a_number_on_the_wire():
    """A code can be sent and compared as the number it is."""
    assert CloseCode.SERVICE_RESTART == 1012
    assert CloseCode(4503) is CloseCode.REPLACED
