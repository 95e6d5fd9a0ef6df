"""Waiting for what has no event of its own."""

import asyncio

import pytest

from labkit.testing.waiting import until


async def test_waits_until_the_condition_holds():
    """It returns when the condition has become true."""
    seen = []
    asyncio.get_running_loop().call_later(0.01, seen.append, "now")
    await until(lambda: seen)
    assert seen == ["now"]


async def test_a_condition_that_stays_false_is_an_error():
    """The message says how long it waited."""
    with pytest.raises(TimeoutError, match=r"did not happen in 0\.01 s"):
        await until(lambda: False, timeout_s=0.01)
