"""Topics of several processes over a real Valkey that is killed, hung, cut off and lied to."""

import asyncio

import pytest

from labkit.sse import BrokerUnavailableError
from labkit.testing.waiting import until
from tests.production.conftest import Told, impatient


async def test_what_one_process_publishes_every_process_hears_in_one_numbering(valkey):
    """40 of 40 at each, and the positions are the same."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        told = [Told(here), Told(there)]
        for topics in (here, there):
            await topics.hold("t")
        at = [await (here, there)[n % 2].log.publish("t", str(n)) for n in range(40)]
        for each in told:
            await until(lambda each=each: len(each.events) == 40)
            assert each.events == [str(n) for n in range(40)]
        assert [position.offset for position in at] == list(range(1, 41))
        assert here.mirror("t").position == there.mirror("t").position == at[-1]


async def test_a_client_resumes_at_another_process(valkey):
    """One that has never heard the topic."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        at = await here.log.publish("t", "before")
        await here.log.publish("t", "missed")
        mirror = await there.hold("t")
        assert [entry.offset for entry in mirror.hub.history.since(str(at)).entries] == [2]


async def test_a_connection_that_breaks_costs_nobody_an_event(valkey, client):
    """What is published while a process is deaf is read up: no gap."""
    async with impatient(valkey) as topics:
        told = Told(topics)
        await topics.hold("t")
        for n in range(20):
            if n % 5 == 0:
                await client.client_kill_filter(_type="pubsub")
            await topics.log.publish("t", str(n))
        await until(lambda: len(told.events) == 20)
        assert told.events == [str(n) for n in range(20)]
        assert len(told.gaps) == 1  # of the first look at the topic


async def test_a_hung_server_costs_nobody_an_event(valkey):
    """Its connections are replaced; what it did before and after is heard once each."""
    async with impatient(valkey, health_s=0.1, timeout_s=0.5) as topics:
        told = Told(topics)
        await topics.hold("t")
        await topics.log.publish("t", "before", once="1")
        valkey.pause()
        await until(lambda: not topics.connected)
        with pytest.raises(BrokerUnavailableError):
            await topics.log.publish("t", "during", once="2")
        valkey.resume()
        await until(lambda: topics.connected)
        await topics.log.publish("t", "during", once="2")
        await topics.log.publish("t", "after", once="3")
        await until(lambda: len(told.events) == 3)
        assert told.events == ["before", "during", "after"]
        assert len(told.gaps) == 1


async def test_a_killed_server_that_comes_back_empty_is_told_and_everyone_hears_again(valkey):
    """After an outage longer than the client's own retries would last."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        told = Told(there)
        await there.hold("t")
        before = await here.log.publish("t", "before")
        valkey.kill()
        await until(lambda: not (here.connected or there.connected))
        attempts = here._reader._failures
        await until(lambda: here._reader._failures > attempts + 20)  # each a refused connection
        with pytest.raises(BrokerUnavailableError):
            await here.log.publish("t", "nobody has this")
        valkey.restart()
        await until(lambda: here.connected and there.is_current("t"))
        for n in range(40):
            await here.log.publish("t", str(n))
        await until(lambda: len(told.events) == 41)
        assert told.events == ["before", *(str(n) for n in range(40))]
        assert len(told.gaps) == 2
        assert there.mirror("t").hub.history.since(str(before)).reason.value == "other epoch"


async def test_a_server_that_is_down_at_the_start_is_waited_for(valkey):
    """Holding a topic is refused in time, and works when the server is there."""
    valkey.kill()
    async with impatient(valkey, timeout_s=0.2) as topics:
        with pytest.raises(BrokerUnavailableError, match="did not confirm the topic"):
            await topics.hold("t")
        valkey.restart()
        await until(lambda: topics.connected)
        await topics.hold("t")


async def test_a_topic_is_mirrored_as_long_as_somebody_holds_it(valkey, client):
    """The last one's leaving unsubscribes it, and nothing is kept."""
    async with impatient(valkey) as topics:
        await topics.hold("t")
        await topics.hold("t")
        topics.release("t")
        await topics.hold("other")
        assert topics.is_current("t")
        topics.release("t")
        await until(lambda: not topics.is_current("t"))
        assert dict(await client.pubsub_numsub("labkit:{topic:t}"))[b"labkit:{topic:t}"] == 0
        assert set(topics._mirrors) == {"other"}


async def test_a_topic_given_back_during_an_outage_is_forgotten(valkey):
    """The reader never says that it has left: it was not there."""
    async with impatient(valkey) as topics:
        await topics.hold("t")
        valkey.kill()
        await until(lambda: not topics.connected)
        topics.release("t")
        valkey.restart()
        await until(lambda: topics.connected)
        await until(lambda: not topics._mirrors)


async def test_who_gives_up_waiting_holds_nothing(valkey):
    """A cancelled holder leaves the topic."""
    async with impatient(valkey) as topics:
        waiting = asyncio.create_task(topics.hold("t"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await topics.hold("other")
        await until(lambda: not topics.is_current("t"))


async def test_poison_on_the_channel_and_in_the_stream_stops_nobody(valkey, client, caplog):
    """One bad publisher does not end everybody's stream."""
    async with impatient(valkey) as topics:
        told = Told(topics)
        await topics.hold("t")
        await client.publish("labkit:{topic:t}", b"nonsense")
        await client.publish("labkit:{topic:t}", b"e1:99 {}")
        await topics.log.publish("t", "healthy")
        await until(lambda: told.events == ["healthy"])
        await client.xadd("labkit:{topic:t}:events", {"x": "y"}, id="2-0")
        await topics.log.publish("t", "still")
        await until(lambda: told.events == ["healthy", "still"])
        assert "skipped" in caplog.text


async def test_a_signal_reaches_every_process_once(valkey):
    """Nothing of it is kept."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        heard = []
        here.on_signal("s", lambda payload: heard.append(("here", payload)))
        there.on_signal("s", lambda payload: heard.append(("there", payload)))
        for topics in (here, there):
            await topics.hold("t")  # behind the signal, on the same connection
        await here.signal("s", "x")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [("here", b"x"), ("there", b"x")]


async def test_nothing_is_left_when_it_ends(valkey, client):
    """No task, no connection, and every stream is told to end."""
    before = asyncio.all_tasks()
    async with impatient(valkey) as topics:
        await topics.hold("t")
        stream = topics.mirror("t").hub.attach(frozenset({"t"}), None, None)
    assert stream.ended == "broker closed"
    stream.close()
    assert asyncio.all_tasks() == before
    assert await client.pubsub_channels() == []


async def test_topics_that_were_not_started_say_so(valkey):
    """Not a time-out later."""
    with pytest.raises(RuntimeError, match="async with SharedTopics"):
        await impatient(valkey).hold("t")
