"""Topics on a real Valkey Cluster: each on one shard, and nothing lost when shards move or die."""

import asyncio

import pytest

from labkit.production.cluster import Cluster, Shards
from labkit.security import Budget, WhenDown
from labkit.sse.broker import BrokerUnavailableError
from labkit.testing.valkey_cluster import ValkeyCluster, ask
from labkit.testing.waiting import until
from tests.production.conftest import Told, impatient, serving, until_type

TOPICS = [f"t{number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster_of_three():
    with ValkeyCluster() as cluster:
        yield cluster


@pytest.fixture
async def cluster(cluster_of_three):
    """Three shards that run and are empty, whatever the test before did to them."""
    for server in cluster_of_three.servers:
        server.resume()
        if not server.running:
            server.start()
    await until(cluster_of_three.whole, timeout_s=20)
    for server in cluster_of_three.servers:
        ask(server, "FLUSHALL")
    return cluster_of_three


def listeners(server, channel):
    """Count who hears a sharded channel at one server."""
    ((_, count),) = ask(server, "PUBSUB SHARDNUMSUB", channel)
    return count


async def heard(topics, told, count):
    """Hold every topic, publish to each in turn, and return what came, by topic."""
    for topic in TOPICS:
        await topics.hold(topic)
    for number in range(count):
        await asyncio.gather(*(topics.log.publish(t, f"{t} {number}") for t in TOPICS))
    await until(lambda: len(told.events) == count * len(TOPICS))
    return {t: [e for e in told.events if e.split()[0] == t] for t in TOPICS}


async def test_topics_of_all_shards_are_heard_in_order_at_every_process(cluster):
    """Forty of forty, at the one that publishes and at another."""
    async with impatient(cluster) as here, impatient(cluster) as there:
        elsewhere = Told(there)
        for topic in TOPICS:
            await there.hold(topic)
        told = await heard(here, Told(here), 40)
        await until(lambda: len(elsewhere.events) == 40 * len(TOPICS))
        assert told == {topic: [f"{topic} {n}" for n in range(40)] for topic in TOPICS}
        assert {here.mirror(topic).position.offset for topic in TOPICS} == {40}


async def test_a_channel_is_on_the_shard_of_its_keys_alone(cluster):
    """More shards carry more messages: nothing is repeated to those that have no part in it."""
    async with impatient(cluster) as topics:
        await heard(topics, Told(topics), 1)
        for topic in TOPICS:
            channel = topics.log.channel(topic)
            home = cluster.shard_of(channel)
            assert cluster.shard_of(f"{channel}:numbers") is home
            assert [listeners(s, channel) for s in cluster.servers] == [
                int(server is home) for server in cluster.servers
            ]
            assert [ask(s, "PUBSUB CHANNELS") for s in cluster.servers] == [[]] * 3
        assert len({cluster.shard_of(topics.log.channel(topic)) for topic in TOPICS}) > 1


async def test_a_plain_channel_is_repeated_to_every_node_a_sharded_one_to_none(cluster):
    """So more nodes carry more messages on sharded channels alone."""
    before = cluster.repeated_bytes()
    ask(cluster.servers[0], "PUBLISH", "hall", "hello")
    plain = cluster.repeated_bytes()
    assert plain > before
    async with impatient(cluster) as topics:
        await heard(topics, Told(topics), 1)
    assert cluster.repeated_bytes() == plain


@pytest.mark.parametrize("topic", ["}", "}{", "{}", "a}b", "{x}y", "ä ö"])
async def test_a_topic_may_have_any_name(cluster, topic):
    """Braces mean something to a cluster, and nothing to a topic."""
    async with impatient(cluster) as topics:
        told = Told(topics)
        await topics.hold(topic)
        await topics.log.publish(topic, "x", once="1")
        await until(lambda: told.events == ["x"])


async def test_a_shard_that_comes_back_empty_is_a_gap_of_its_topics_alone(cluster):
    """The others' topics are read up: nothing is missing, nothing comes twice."""
    async with impatient(cluster) as topics:
        told = Told(topics)
        await heard(topics, told, 3)
        broken = cluster.servers[1]
        theirs = {t for t in TOPICS if cluster.shard_of(topics.log.channel(t)) is broken}
        assert theirs
        assert theirs != set(TOPICS)
        told.gaps.clear()
        broken.kill()
        await until(lambda: not topics.connected)
        broken.start()
        await until(cluster.whole, timeout_s=20)
        await until(lambda: topics.connected and all(map(topics.is_current, TOPICS)))
        for topic in TOPICS:
            await topics.log.publish(topic, f"{topic} after")
        await until(lambda: len(told.events) == 4 * len(TOPICS))
        assert len(told.gaps) == len(theirs)
        assert sorted(told.events) == sorted(
            f"{topic} {what}" for topic in TOPICS for what in (0, 1, 2, "after")
        )


async def test_a_shard_that_hangs_is_noticed(cluster):
    """Though the others go on answering."""
    async with impatient(cluster, health_s=0.1) as topics:
        await heard(topics, Told(topics), 1)
        cluster.servers[2].pause()
        await until(lambda: not topics.connected)
        cluster.servers[2].resume()
        await until(cluster.whole, timeout_s=20)
        await until(lambda: topics.connected and all(map(topics.is_current, TOPICS)))


async def test_a_slot_that_moves_to_another_shard_takes_its_topic_along(cluster):
    """Told while it moves and after: each once, in order, and no gap."""
    async with impatient(cluster) as there, impatient(cluster) as topics:
        told, elsewhere = Told(topics), Told(there)
        await topics.hold("moving")
        await there.hold("moving")  # it only listens: nothing else tells it of the move
        told.gaps.clear()
        elsewhere.gaps.clear()
        channel = topics.log.channel("moving")
        home = cluster.shard_of(channel)
        away = next(server for server in cluster.servers if server is not home)
        move = asyncio.create_task(asyncio.to_thread(cluster.move, channel, away))
        said = []
        while not (move.done() and topics.connected) or len(said) < 20:
            said.append(str(len(said)))
            await topics.log.publish("moving", said[-1], once=said[-1])
        await move
        await topics.log.publish("moving", "after")
        await until(lambda: told.events == [*said, "after"])
        await until(lambda: elsewhere.events == [*said, "after"])
        assert told.gaps == elsewhere.gaps == []
        assert listeners(away, channel) == 2
        await asyncio.to_thread(cluster.move, channel, home)


async def test_without_a_cluster_all_is_refused_in_time():
    """And the error is that of a single server."""
    with ValkeyCluster(1) as gone:
        pass
    async with impatient(gone, timeout_s=0.5) as topics:
        with pytest.raises(BrokerUnavailableError):
            await topics.log.publish("t", "x")
        with pytest.raises(BrokerUnavailableError):
            await topics.hold("t")


async def test_a_node_addressed_as_a_single_server_says_what_to_do(cluster):
    """It would work for a third of the topics."""
    async with impatient(cluster.servers[0], timeout_s=0.5) as topics:
        with pytest.raises(BrokerUnavailableError, match=r"redis\+cluster://"):
            for topic in TOPICS:
                await topics.log.publish(topic, "x")


async def test_who_wants_nothing_is_connected(cluster):
    """Nobody was asked, so nobody is silent."""
    async with impatient(cluster, health_s=0.01) as topics:
        await until(lambda: topics.connected)
        client = Cluster(cluster.url, timeout_s=5)
        shards = Shards(client)
        await shards.connect()
        for _ in range(3):
            await shards.ping()
            assert (await shards.get_message())["type"] == "pong"
        await shards.aclose()
        await client.aclose()
        assert topics.connected


async def test_a_budget_is_counted_in_the_cluster(cluster):
    """One budget for two processes."""
    options = {"name": "posts", "when_down": WhenDown.CLOSED, "timeout_s": 5}
    async with (
        Budget(cluster.url, "3/minute", **options) as here,
        Budget(cluster.url, "3/minute", **options) as there,
    ):
        spent = [await budget.spend("user:ada") for budget in (here, there, here, there)]
    assert spent == [True, True, True, False]


async def test_the_service_runs_on_a_cluster(cluster, person):
    """Two processes, one room; logins, tickets, presence and history included."""
    secret = "s" * 32
    async with serving(cluster, secret=secret) as one, serving(cluster, secret=secret) as two:
        ada, eve = await person(one), await person(two, "eve")
        assert (await ada.http.get("/readyz")).status_code == 200
        socket, _ = await eve.room()
        assert (await ada.say("hello")).status_code == 200
        assert (await until_type(socket, "event"))["data"]["text"] == "hello"
