"""What chapter 7 says of libraries, re-checked."""

import asyncio

import pytest
import redis
from redis.asyncio import Redis

from labkit.testing.valkey import ValkeyServer


@pytest.fixture(scope="module")
def valkey():
    """Start one real Valkey for these tests."""
    with ValkeyServer() as server:
        yield server


async def test_the_default_pool_refuses_beyond_a_hundred(valkey):
    """It does not wait for a connection to come back."""
    client = Redis.from_url(valkey.url)
    results = await asyncio.gather(
        *(client.publish("news", "x") for _ in range(500)), return_exceptions=True
    )
    await client.aclose()
    assert sum(isinstance(each, redis.ConnectionError) for each in results) == 400


async def test_the_synchronous_client_publishes_before_the_await_fails(valkey):
    """So whoever catches the error and tries again publishes twice."""
    client = redis.Redis.from_url(valkey.url)
    listener = client.pubsub()
    listener.subscribe("news")
    listener.get_message(timeout=2)
    with pytest.raises(TypeError, match="await"):
        await client.publish("news", "once")
    assert listener.get_message(timeout=2)["data"] == b"once"
    listener.close()
    client.close()
