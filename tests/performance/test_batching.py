"""Several messages in one frame, when there are several."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture import Outgoing, binary, encode
from labkit.performance import Batcher, batch
from labkit.testing.waiting import until


def numbered(n, **more):
    """Return a message that can be told from the others."""
    return encode("n", n=n, **more)


def opened(payloads):
    """Return the numbers in what was sent, batches opened."""
    texts = [json.loads(each) for each in payloads]
    return [m["n"] for t in texts for m in (t["messages"] if t["type"] == "batch" else [t])]


@pytest.fixture
def sent():
    """Return what left."""
    return []


def batcher(sent, **options):
    """Return a batcher that writes into a list."""
    return Batcher(lambda message: sent.append(message.payload), **options)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_batch_is_json_and_as_large_as_it_says(texts):
    """Nothing is encoded twice, and the size is what the wire carries."""
    messages = [encode("say", text=text) for text in texts]
    made = batch(messages)
    assert made.size == len(made.payload.encode())
    got = json.loads(made.payload)
    assert [m["text"] for m in got.get("messages", [got])] == texts


async def test_to_an_idle_connection_a_message_leaves_at_once(sent):
    """Not even the end of the turn is waited for."""
    batcher(sent, max_wait_s=3600).put(numbered(0))
    assert opened(sent) == [0]


async def test_what_follows_in_the_turn_leaves_together(sent):
    """A thousand messages are eleven frames: the first, and ten of a hundred or less."""
    batches = batcher(sent)
    for n in range(1000):
        batches.put(numbered(n))
    await asyncio.sleep(0)
    assert opened(sent) == list(range(1000))
    assert len(sent) == 11


async def test_a_busy_second_is_a_few_frames(sent):
    """Within `max_wait_s` all wait for each other, and the last one is not forgotten."""
    batches = batcher(sent, max_wait_s=0.05)
    for n in range(3):
        batches.put(numbered(n))
        await asyncio.sleep(0)
    assert opened(sent) == [0]
    await until(lambda: len(sent) == 2)
    assert opened(sent) == [0, 1, 2]


@pytest.mark.parametrize("bound", [{"max_items": 2}, {"max_bytes": 30}])
async def test_a_full_batch_does_not_wait(sent, bound):
    """Items and bytes both count."""
    batches = batcher(sent, max_wait_s=3600, **bound)
    for n in range(5):
        batches.put(numbered(n))
    assert opened(sent) == [0, 1, 2, 3, 4]
    assert len(sent) == 3


async def test_of_each_key_only_the_newest_waits(sent):
    """A price that is overtaken is not sent; the last value of each always is."""
    batches = batcher(sent, max_wait_s=3600, latest=True)
    for n in range(100):
        batches.put(encode("n", key=f"symbol {n % 3}", n=n))
    batches.flush()
    assert opened(sent) == [0, 97, 98, 99]


async def test_bytes_keep_their_place(sent):
    """A binary message is not batched, and what came before it leaves before it."""
    batches = batcher(sent, max_wait_s=3600)
    for message in (numbered(0), numbered(1), binary(b"x"), numbered(2)):
        batches.put(message)
    batches.flush()
    assert [type(each) for each in sent] == [str, str, bytes, str]
    assert opened([each for each in sent if isinstance(each, str)]) == [0, 1, 2]


async def test_closing_forgets_and_leaves_no_timer(sent):
    """The client has gone: nothing is sent any more, by no timer either."""
    batches = batcher(sent, max_wait_s=0.01)
    batches.put(numbered(0))
    batches.put(numbered(1))
    batches.close()
    batches.close()
    await asyncio.sleep(0.03)
    assert opened(sent) == [0]


async def test_it_rests_when_nothing_comes(sent):
    """After a quiet window the next message leaves at once again."""
    batches = batcher(sent, max_wait_s=0.01)
    batches.put(numbered(0))
    await until(lambda: batches._timer is None)
    batches.put(numbered(1))
    assert opened(sent) == [0, 1]


@pytest.mark.parametrize("bad", [{"max_items": 0}, {"max_bytes": 0}, {"max_wait_s": -1}])
async def test_a_bound_that_makes_no_sense_is_an_error(sent, bad):
    """The message names it."""
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
        batcher(sent, **bad)


def test_one_alone_is_no_batch():
    """It goes as it is, so an old client understands it."""
    message = Outgoing("{}", 2)
    assert batch([message]) is message
