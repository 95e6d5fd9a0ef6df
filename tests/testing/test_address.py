"""Where the servers of a lesson are."""

import socket

from labkit.testing.address import HOST, Addressed, free_port


def test_an_address_follows_the_port():
    """It may be given late."""
    place = Addressed()
    place.port = 8000
    assert (place.url, place.ws_url) == ("http://127.0.0.1:8000", "ws://127.0.0.1:8000")


def test_a_free_port_can_be_listened_on():
    """By whoever comes at once."""
    with socket.create_server((HOST, free_port())) as listener:
        assert listener.getsockname()[1] > 0
