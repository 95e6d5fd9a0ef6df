"""A bucket that fills by itself, and the door in front of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.security import Rate, Throttle, TokenBucket
from labkit.testing.clock import ManualClock
from labkit.testing.waiting import until
from tests.security.conftest import VALID


class Listener:
    """A connection as far as the door knows it."""

    def __init__(self):
        self.sent, self.closed = [], None

    def send(self, message):
        """Note what the client is told."""
        self.sent.append(message.payload)

    def close(self, code, reason):
        """Note how it ends."""
        self.closed = (int(code), reason)


@pytest.fixture
def clock():
    """Return time that moves when told to."""
    return ManualClock()


def test_it_begins_full_and_empties(clock):
    """A burst is free, then nothing is."""
    bucket = TokenBucket(per_second=1, burst=3, clock=clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_it_fills_with_time_and_not_beyond_the_brim(clock):
    """An hour of silence is no hour of credit."""
    bucket = TokenBucket(per_second=2, burst=3, clock=clock)
    for _ in range(3):
        bucket.take()
    clock.advance(0.5)
    assert [bucket.take(), bucket.take()] == [True, False]
    clock.advance(3600)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_all_or_none(clock):
    """What is refused costs nothing."""
    bucket = TokenBucket(per_second=1, burst=3, clock=clock)
    assert not bucket.take(4)
    assert bucket.take(3)


def test_it_says_when_to_come_back(clock):
    """After the wait, and not before, the tokens are there."""
    bucket = TokenBucket(per_second=4, burst=2, clock=clock)
    bucket.take(2)
    assert bucket.wait_s() == 0.25
    clock.advance(0.125)
    assert bucket.wait_s() == 0.125
    clock.advance(0.125)
    assert bucket.wait_s() == 0
    assert bucket.take()
    assert bucket.wait_s(3) == float("inf")


STEPS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.25, 4)), max_size=40)


@given(STEPS, st.sampled_from([0.5, 1, 8]), st.sampled_from([1, 4, 16]))
def test_never_more_than_burst_and_rate(steps, per_second, burst):
    """In every span, what came through is at most `burst + rate * t`."""
    clock = ManualClock()
    bucket = TokenBucket(per_second=per_second, burst=burst, clock=clock)
    taken = []
    for pause_s, tokens in steps:
        clock.advance(pause_s)
        if bucket.take(tokens):
            taken.append((clock(), tokens))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span_s = taken[last][0] - taken[first][0]
            through = sum(tokens for _, tokens in taken[first : last + 1])
            assert through <= burst + per_second * span_s + 1e-6


@pytest.mark.parametrize("field", ["per_second", "burst", "bytes_per_token", "max_refused"])
def test_a_rate_that_lets_nobody_through_is_an_error(field):
    """The message names the field."""
    with pytest.raises(ValueError, match=f"{field} is 0"):
        Rate(**{field: 0})


async def door(rate, clock):
    """Return a throttle, what it let through, and its client."""
    heard, client = [], Listener()

    async def handler(connection, payload):
        heard.append(payload)

    return Throttle(handler, rate, clock=clock), heard, client


async def test_one_warning_then_silence_then_the_end(clock):
    """A flood is answered once, and closed with 1008."""
    throttle, heard, client = await door(Rate(burst=2, per_second=1, max_refused=5), clock)
    for _ in range(7):
        await throttle(client, "")
    assert len(heard) == 2
    (warning,) = map(json.loads, client.sent)
    assert (warning["code"], warning["retry_after_ms"]) == ("rate_limited", 1000)
    assert client.closed == (1008, "too many messages")
    assert throttle.refused == 5


@pytest.mark.parametrize("times", [1.5, 2, 10, 90])
async def test_a_steady_flood_is_closed_as_well(clock, times):
    """Being heard now and then does not make it good: one warning, then 1008."""
    throttle, heard, client = await door(Rate(burst=20, per_second=10), clock)
    for _ in range(2000):
        clock.advance(1 / (10 * times))
        await throttle(client, "")
        if client.closed:
            break
    assert client.closed == (1008, "too many messages")
    assert (len(client.sent), throttle.refused) == (1, 100)
    assert len(heard) >= 20


async def test_who_keeps_to_the_rate_is_never_refused(clock):
    """For as long as it likes."""
    throttle, heard, client = await door(Rate(burst=20, per_second=10), clock)
    for _ in range(2000):
        clock.advance(0.11)
        await throttle(client, "")
    assert (len(heard), client.sent) == (2000, [])


async def test_bytes_are_counted_not_characters(clock):
    """An accent is two of them."""
    throttle, heard, client = await door(Rate(burst=4, bytes_per_token=1000), clock)
    await throttle(client, "é" * 1600)
    assert (len(heard), len(client.sent)) == (0, 1)


async def test_what_will_never_pass_is_not_told_to_come_back(clock):
    """Its message says so, and names no time."""
    throttle, _, client = await door(Rate(burst=4, bytes_per_token=1000), clock)
    await throttle(client, "x" * 4000)
    (refusal,) = map(json.loads, client.sent)
    assert refusal["code"] == "too_large"
    assert "retry_after_ms" not in refusal


async def test_who_slows_down_is_heard_again_and_warned_again(clock):
    """The count of refusals starts anew when the bucket is full again."""
    throttle, heard, client = await door(Rate(burst=1, per_second=1, max_refused=2), clock)
    for _ in range(5):
        await throttle(client, "")
        await throttle(client, "")
        clock.advance(2)
    assert (len(heard), len(client.sent), client.closed) == (5, 5, None)


async def test_a_large_message_costs_more(clock):
    """Bytes are budget too."""
    throttle, heard, client = await door(Rate(burst=4, bytes_per_token=1000), clock)
    await throttle(client, "x" * 3000)
    await throttle(client, "")
    assert len(heard) == 1
    await throttle(client, "x" * 1_000_000)
    assert len(client.sent) == 1


async def test_on_a_real_server_a_flood_is_not_parsed(chat):
    """The reader is told once and then closed; the others do not notice."""
    async with chat(rate=Rate(burst=5.5, per_second=0.001, max_refused=10)) as c:
        mallory, ada = await c.join("mallory"), await c.join("ada")
        for _ in range(15):
            await mallory.send("not even JSON")
        answers = await mallory.receive_many(6)
        assert [each["code"] for each in answers] == ["bad_json"] * 5 + ["rate_limited"]
        assert (await mallory.closed()).code == 1008
        await ada.send(VALID)
        assert (await ada.receive_json())["type"] == "noted"
        await until(lambda: len(c.manager) == 1)
