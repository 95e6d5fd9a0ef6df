"""One script, one step: numbered, kept and published, or not at all."""

import pytest
from redis.exceptions import RedisError

from labkit.production.log import IdReusedError, TopicLog
from labkit.sse import BrokerUnavailableError, Position
from labkit.sse.reader import patient_client
from labkit.testing.valkey import ValkeyServer

NOWHERE = Position("none", 0)


def log_of(client, **options):
    settings = {"max_events": 5, "max_age_s": 60.0, "prefix": "t:", "timeout_s": 2.0} | options
    return TopicLog(client, **settings)


@pytest.fixture
def log(client):
    return log_of(client)


async def test_events_of_a_topic_count_from_one_without_gaps(log):
    """Whoever publishes, and whatever happens on other topics."""
    first = await log.publish("a", "x")
    await log.publish("b", "y")
    assert await log.publish("a", "z") == first._replace(offset=2)
    assert first.offset == 1


async def test_what_came_after_a_position_is_read_back(log):
    """And where the topic stands, in the same step."""
    for n in range(4):
        at = await log.publish("a", str(n), "note")
    kept = await log.read("a", at._replace(offset=2))
    assert kept.at == at
    assert [number for number, _ in kept.entries] == [3, 4]
    assert kept.entries[1][1] == b'{"event": "note", "data": "3"}'


async def test_a_position_from_elsewhere_reads_all_that_is_kept(log):
    """The reader decides what that means."""
    for n in range(9):
        await log.publish("a", str(n))
    kept = await log.read("a", NOWHERE)
    assert [number for number, _ in kept.entries] == [5, 6, 7, 8, 9]


async def test_a_topic_that_nobody_has_used_has_a_position(log):
    """All who ask get the same, and the first event follows it."""
    at = (await log.read("new", NOWHERE)).at
    assert (await log.read("new", NOWHERE)).at == at
    assert await log.publish("new", "x") == at._replace(offset=1)


async def test_published_again_with_the_same_id_it_is_there_once(log):
    """And the answer is the same."""
    at = await log.publish("a", "x", once="m1")
    assert await log.publish("a", "x", once="m1") == at
    assert len((await log.read("a", NOWHERE)).entries) == 1
    assert await log.publish("a", "x", once="m2") != at


async def test_an_id_belongs_to_one_event(log):
    """A client that counts wrongly is told."""
    await log.publish("a", "x", once="m1")
    with pytest.raises(IdReusedError, match="another event had this id"):
        await log.publish("a", "y", once="m1")
    assert len((await log.read("a", NOWHERE)).entries) == 1


@pytest.mark.parametrize(
    "write",
    [("SET", "t:{topic:a}:events", "x"), ("XADD", "t:{topic:a}:events", "99999-1", "m", "x")],
    ids=["another type", "another's id"],
)
async def test_a_topic_that_a_stranger_wrote_to_begins_anew(log, client, write):
    """Publishing goes on under another epoch, instead of failing for ever."""
    before = await log.publish("a", "x")
    if write[0] == "SET":
        await client.delete("t:{topic:a}:events")
    await client.execute_command(*write)
    assert (await log.read("a", NOWHERE)).at == before
    after = await log.publish("a", "y")
    assert after.epoch != before.epoch
    assert after.offset == 1
    assert [number for number, _ in (await log.read("a", before)).entries] == [1]


async def test_a_server_that_has_lost_events_does_not_give_their_numbers_again(log, client):
    """A replica that was behind became primary, say."""
    for _ in range(3):
        at = await log.publish("a", "x")
    await client.hset("t:{topic:a}:numbers", "offset", 1)
    kept = await log.read("a", at)
    assert kept.at.epoch != at.epoch
    assert kept.at.offset == 0


async def test_everything_ends_by_itself(log, client):
    """Each key has a time to live."""
    await log.publish("a", "x", once="m")
    keys = [key async for key in client.scan_iter("t:*")]
    assert len(keys) == 3
    assert all([await client.pttl(key) > 0 for key in keys])


async def test_keys_of_a_topic_are_on_one_shard(log, client):
    """A script may touch keys of one slot alone, in a cluster."""
    await log.publish("a", "x", once="m")
    keys = [key.decode() async for key in client.scan_iter("t:*")]
    assert all(key.startswith("t:{topic:a}:") for key in keys)


async def test_a_full_server_refuses_events_and_still_answers_readers():
    """`noeviction`: the publisher is told, those who listen stay."""
    with ValkeyServer(maxmemory="8mb", maxmemory_policy="noeviction") as full:
        client = patient_client(full.url, timeout_s=2, max_connections=4)
        log = log_of(client, max_events=10_000)
        before = await log.publish("kept", "x")
        with pytest.raises(BrokerUnavailableError, match="maxmemory"):
            for _ in range(1000):
                await log.publish("a", "y" * 50_000)
        assert (await log.read("kept", NOWHERE)).at == before
        await client.aclose()


async def test_a_hung_server_is_a_refusal_at_the_deadline(client, valkey):
    """The event may be there all the same; the same id makes it once."""
    log = log_of(client, timeout_s=0.5)
    await log.publish("a", "x")
    valkey.pause()
    try:
        with pytest.raises(BrokerUnavailableError, match="publish again with the same `once`"):
            await log.publish("a", "y", once="m")
    finally:
        valkey.resume()
    log = log_of(client)
    await log.publish("a", "y", once="m")
    assert (await log.read("a", NOWHERE)).at.offset == 2


async def test_what_cannot_be_told_is_refused_before_it_leaves(log, client):
    """The field is named, and no number is spent."""
    for topic, data, event, word in [
        ("", "x", None, "topic"), ("a", "x" * 70_000, None, "data"), ("a", "x", "b\n", "event")
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=word):
            await log.publish(topic, data, event)
    assert [key async for key in client.scan_iter("t:*")] == []


async def test_a_dead_server_is_an_error_of_its_own(client, valkey):
    """Not the library's."""
    valkey.kill()
    with pytest.raises(BrokerUnavailableError) as error:
        await log_of(client).tell("c", "x")
    assert isinstance(error.value.__cause__, RedisError | OSError)
