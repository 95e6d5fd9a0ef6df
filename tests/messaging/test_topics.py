"""Numbered, recovered, or told as a gap: over real sockets."""

import pytest

from labkit.architecture import Manager, Router
from labkit.messaging import Once, Published, Topics, add_topics
from labkit.testing.clock import ManualClock
from labkit.testing.faults import StalledReader, reset
from labkit.testing.link import Link
from labkit.testing.waiting import until


async def offsets(client, count):
    """Return the offsets of the next messages."""
    return [int(m["at"].partition(":")[2]) for m in await client.receive_many(count)]


async def test_messages_of_a_topic_are_numbered_from_one(room):
    """Each topic counts for itself, and everyone gets the same numbers."""
    async with room() as r:
        ada, bob = await r.join("ada", "news"), await r.join("bob", "news")
        assert r.topics.publish("news", "a") == Published("e1:1", 2)
        r.topics.publish("news", "b")
        assert await offsets(ada, 2) == await offsets(bob, 2) == [1, 2]


async def test_who_was_cut_off_misses_nothing(room):
    """The line breaks, three messages pass, and they come before the next one."""
    async with room() as r, Link(r.server.ws_url) as link:
        bob = await r.join("bob", "news")
        ada = await r.join("ada", "news", through=link)
        r.topics.publish("news", 1)
        assert await offsets(ada, 1) == [1]
        link.reset()
        await until(lambda: len(r.manager) == 1)
        for n in (2, 3, 4):
            r.topics.publish("news", n)
        ada = await r.join("ada", "news", after="e1:1", through=link)
        r.topics.publish("news", 5)
        assert await offsets(ada, 4) == [2, 3, 4, 5]
        assert await offsets(bob, 5) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("after", "gap"),
    [("e1:0", "too old"), ("e9:1", "other epoch"), ("e1:99", "from the future"),
     ("yesterday", "malformed id")],
)  # fmt: skip
async def test_what_cannot_be_recovered_is_told(room, after, gap):
    """Nothing is replayed, the reason is named, and `at` says where it goes on."""
    async with room(max_events=2) as r:
        await r.join("bob", "news")
        for n in range(5):
            r.topics.publish("news", n)
        ada = await r.join("ada")
        await ada.send({"type": "subscribe", "topic": "news", "after": after})
        ok = await ada.receive_json()
        assert ok == {"type": "ok", "at": "e1:5", "recovered": False, "gap": gap}
        r.topics.publish("news", 6)
        assert await offsets(ada, 1) == [6]


async def test_the_last_one_out_can_come_back_for_a_while(room):
    """A topic with messages is kept for `max_age_s`, then its numbers are never given again."""
    clock = ManualClock()
    async with room(clock=clock, max_age_s=60) as r:
        ada = await r.join("ada", "news")
        r.topics.publish("news", 1)
        reset(ada)
        await until(lambda: not len(r.manager))
        assert r.topics.publish("news", 2) == Published("e1:2", 0)
        ada = await r.join("ada", "news", after="e1:1")
        assert await offsets(ada, 1) == [2]
        reset(ada)
        await until(lambda: not len(r.manager))
        clock.advance(61)
        assert r.topics.publish("news", 3) == Published(None, 0)
        assert len(r.topics) == 0
        ada = await r.join("ada")
        await ada.send({"type": "subscribe", "topic": "news", "after": "e1:1"})
        assert (await ada.receive_json())["gap"] == "other epoch"


async def test_churn_leaves_no_topic(room):
    """Two hundred clients with a topic of their own came and went."""
    async with room() as r:
        clients = [await r.join(str(n), f"user.{n}") for n in range(200)]
        assert (len(r.topics), len(r.manager.topics)) == (200, 200)
        reset(*clients)
        await until(lambda: not len(r.manager))
        assert (len(r.topics), r.manager.topics) == (0, {})


async def test_publishing_to_nobody_keeps_nothing(room):
    """A thousand topics that nobody has ever asked for."""
    async with room() as r:
        published = {r.topics.publish(f"t{n}", n) for n in range(1000)}
        assert (published, len(r.topics)) == ({Published(None, 0)}, 0)


async def test_topics_without_listeners_are_bounded(room):
    """The one left longest ago is forgotten first."""
    async with room(max_left=2) as r:
        for topic in ("a", "b", "c"):
            ada = await r.join("ada", topic)
            r.topics.publish(topic, 1)
            await ada.send({"type": "unsubscribe", "topic": topic})
            await ada.receive_many(2)
        kept = [t for t in ("a", "b", "c") if r.topics.publish(t, 2).at is not None]
        assert kept == ["b", "c"]


async def test_poison_fails_at_its_publisher_and_takes_no_number(room):
    """Five subscribers are unharmed, and see no gap."""
    async with room() as r:
        guests = [await r.join(name, "news") for name in "abcde"]
        for poison in (object(), float("nan"), "\ud800"):
            with pytest.raises(ValueError, match="cannot be encoded"):
                r.topics.publish("news", poison)
            with pytest.raises(ValueError, match="cannot be encoded"):
                r.topics.publish("to nobody", poison)
        assert r.topics.publish("news", 1) == Published("e1:1", 5)
        assert [await offsets(guest, 1) for guest in guests] == [[1]] * 5


async def test_a_reader_that_sleeps_holds_nobody_up(room):
    """Publishing stays a plain function; the healthy get everything in order."""
    hello = '{"type": "subscribe", "topic": "news"}'
    async with room(versioned=False) as r:
        ada = await r.join("ada", "news")
        url = f"{r.server.ws_url}/ws"
        stalled = await StalledReader.connect(url, first_messages=[hello])
        await until(lambda: r.manager.topics == {"news": 2})
        for n in range(1, 101):
            r.topics.publish("news", "x" * 100_000)
            assert await offsets(ada, 1) == [n]
        stalled.close()


async def test_joining_while_somebody_publishes_is_no_accident(room):
    """Whoever subscribes while a message is handed out gets the next one, and nothing breaks."""
    async with room() as r:
        ada = await r.join("ada", "news")
        first = r.only
        bob = await r.join("bob")
        await until(lambda: len(r.manager) == 2)
        (second,) = set(r.manager) - {first}

        class Joining:
            """An outbox that lets the other one join in the middle of a message."""

            def __init__(self, outbox):
                self.outbox = outbox

            def put_all(self, messages, size):
                r.topics.subscribe(second, "news")
                self.outbox.put_all(messages, size)

        real, first.outbox = first.outbox, Joining(first.outbox)
        assert r.topics.publish("news", 1).listeners == 1
        first.outbox = real
        await until(lambda: r.manager.listeners("news") == 2)
        assert r.topics.publish("news", 2).listeners == 2
        assert await offsets(ada, 2) == [1, 2]
        assert [m["at"] for m in await bob.receive_many(2)] == ["e1:1", "e1:2"]  # ok, and the next


async def test_a_new_socket_inherits_nothing(room):
    """Topics belong to a connection, not to a user: whoever comes back subscribes again."""
    async with room() as r:
        await (await r.join("ada", "secret", user="ada")).close()
        await until(lambda: not len(r.manager))
        ada = await r.join("ada", "news", user="ada")
        r.topics.publish("secret", 1)
        r.topics.publish("news", 2)
        assert (await ada.receive_json())["topic"] == "news"


async def test_a_message_sent_twice_is_said_once(room):
    """Over a line that broke before the answer: the same user, the same id, another connection."""
    async with room() as r:
        bob = await r.join("bob", "chat")
        answers = []
        for _ in range(2):
            ada = await r.join("ada", user="ada")
            await ada.send({"type": "publish", "id": "m1", "topic": "chat", "data": "hi"})
            answers.append(await ada.receive_json())
            reset(ada)
        assert answers == [{"type": "ok", "ref": "m1", "at": "e1:1"}] * 2
        r.topics.publish("chat", "end")
        assert [m["data"] for m in await bob.receive_many(2)] == ["hi", "end"]


async def test_a_connection_that_has_gone_is_not_subscribed(room):
    """It would never leave again."""
    async with room() as r:
        ada = await r.join("ada", "news")
        connection = r.only
        await ada.close()
        await until(lambda: not len(r.manager))
        r.topics.subscribe(connection, "news")
        assert (len(r.topics), r.manager.topics) == (0, {})


async def test_too_many_topics_are_refused(room):
    """The manager's limit is an answer, and the connection goes on."""
    async with room() as r:
        r.manager.max_topics = 1
        ada = await r.join("ada", "one")
        await ada.send({"type": "subscribe", "topic": "two"})
        assert (await ada.receive_json())["code"] == "too_many_topics"
        assert len(r.topics) == 1


def test_who_may_is_a_decision():
    """There is no default that lets everyone in."""
    topics = Topics(Manager())
    with pytest.raises(TypeError, match="may_publish"):
        add_topics(Router(), topics, Once(), may_subscribe=lambda *_: True)
