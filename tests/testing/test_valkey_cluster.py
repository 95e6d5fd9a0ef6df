"""A real cluster: whole at the start, a slot can move, a shard can die; nothing is left."""

import pytest

from labkit.testing.valkey import ValkeyError
from labkit.testing.valkey_cluster import ValkeyCluster, ask


def test_a_cluster_is_whole_until_a_shard_dies():
    """Every key has a home, and goes with its slot."""
    with ValkeyCluster() as cluster:
        assert cluster.whole()
        home = cluster.shard_of("key")
        away = next(server for server in cluster.servers if server is not home)
        ask(home, "SET", "key", "value")
        cluster.move("key", away)
        assert cluster.shard_of("key") is away
        assert ask(away, "GET", "key") == b"value"
        away.kill()
        assert not cluster.whole()
    assert not any(server.running for server in cluster.servers)


def test_a_cluster_that_does_not_come_together_says_so():
    """And leaves nothing."""
    cluster = ValkeyCluster(start_timeout_s=0)
    with pytest.raises(ValkeyError, match="did not find each other within 0 s"):
        cluster.start()
    assert not any(server.running for server in cluster.servers)
