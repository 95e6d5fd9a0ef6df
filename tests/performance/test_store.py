"""One Valkey client for a process."""

import asyncio

import pytest

from labkit.performance import Store, StoreUnavailableError
from labkit.testing.valkey import ValkeyServer


@pytest.fixture(scope="module")
def valkey():
    """Start one real Valkey for these tests."""
    with ValkeyServer() as server:
        yield server


async def connections(store):
    """Count the connections of this client at the server."""
    clients = await store.run(lambda redis: redis.client_list())
    return len(clients)


async def test_five_hundred_at_once_share_ten_connections(valkey):
    """They wait for one instead of failing."""
    async with Store(valkey.url, timeout_s=5) as store:
        await asyncio.gather(*(store.publish("news", str(n)) for n in range(500)))
        assert await connections(store) <= 10


async def test_subscribers_take_no_connection_from_the_others(valkey):
    """Ten of them, and the one connection for commands is free."""
    async with Store(valkey.url, max_connections=1) as store:
        readers = [store.subscriber() for _ in range(10)]
        for reader in readers:
            await reader.subscribe("news")
        assert await store.publish("news", "hello") == 10
        for reader in readers:
            await reader.aclose()


async def test_a_killed_connection_is_made_anew(valkey):
    """A command that finds its connection dead is sent again."""
    async with Store(valkey.url) as store:
        await store.publish("news", "1")
        await store.run(lambda redis: redis.client_kill_filter(_type="normal", skipme=True))
        other = Store(valkey.url)
        async with other:
            await other.run(lambda redis: redis.client_kill_filter(_type="normal", skipme=True))
        assert await store.publish("news", "2") == 0


async def test_a_store_that_hangs_is_an_error_within_the_deadline():
    """One error, whatever it was; afterwards it works again."""
    with ValkeyServer() as server:
        async with Store(server.url, timeout_s=0.5) as store:
            await store.publish("news", "1")
            server.pause()
            with pytest.raises(StoreUnavailableError, match="TimeoutError from the store"):
                await store.publish("news", "2")
            server.resume()
            assert await store.publish("news", "3") == 0


async def test_a_store_that_is_gone_is_the_same_error():
    """And the cause is chained, for the log."""
    with ValkeyServer() as server:
        async with Store(server.url, timeout_s=0.5) as store:
            server.stop()
            with pytest.raises(StoreUnavailableError) as error:
                await store.publish("news", "1")
            assert error.value.__cause__ is not None


async def test_closing_closes_every_connection(valkey):
    """Nothing is left at the server."""
    async with Store(valkey.url) as watcher:
        before = await connections(watcher)
        async with Store(valkey.url) as store:
            await asyncio.gather(*(store.publish("news", "1") for _ in range(20)))
        assert await connections(watcher) == before
