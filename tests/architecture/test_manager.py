"""Identity is the object; the indexes always agree; publishing waits for nobody."""

import asyncio

import pytest

from labkit.architecture.manager import Connection, Manager, TooManyTopics
from labkit.architecture.messages import encode

NEWS = encode("event", n=1)


def connect(h, manager, user=None, topics=()):
    """Return a connection of `manager` on the harness's outbox."""
    connection = Connection(h.outbox, on_close=lambda: None, user=user)
    manager.add(connection)
    for topic in topics:
        manager.subscribe(connection, topic)
    return connection


async def test_publish_reaches_the_subscribers_and_only_them(harness):
    """A message goes to those who listen, and the count says how many accepted it."""
    manager, (a, b) = Manager(), (harness(), harness())
    connect(a, manager, topics=["news"])
    connect(b, manager, topics=["sport"])
    assert manager.publish("news", NEWS) == 1
    await asyncio.sleep(0)
    assert (len(a.pipe.got), len(b.pipe.got)) == (1, 0)


async def test_a_stalled_subscriber_delays_nobody(harness):
    """The publisher returns at once and the others have the message."""
    manager, (slow, quick) = Manager(), (harness(), harness())
    slow.pipe.writable.clear()
    for h in (slow, quick):
        connect(h, manager, topics=["news"])
    for _ in range(5):
        assert manager.publish("news", NEWS) == 2
    await asyncio.sleep(0)
    assert len(quick.pipe.got) == 5
    slow.outbox.close()
    slow.tasks[0].cancel()


async def test_a_failing_subscriber_costs_nobody_else_the_message(harness):
    """One dead peer neither raises at the publisher nor ends the round."""
    manager, harnesses = Manager(), [harness() for _ in range(5)]
    harnesses[1].pipe.error = ConnectionResetError("gone")
    for h in harnesses:
        connect(h, manager, topics=["news"])
    assert manager.publish("news", NEWS) == 5
    await asyncio.sleep(0)
    assert [len(h.pipe.got) for h in harnesses] == [1, 0, 1, 1, 1]


async def test_two_connections_of_one_user_are_two(harness):
    """Removing one leaves the other where it was."""
    manager, (first, second) = Manager(), (harness(), harness())
    one = connect(first, manager, user="alice", topics=["news"])
    connect(second, manager, user="alice", topics=["news"])
    manager.remove(one)
    assert manager.send_to_user("alice", NEWS) == 1
    assert manager.publish("news", NEWS) == 1


async def test_remove_is_idempotent_and_complete(harness):
    """After remove nothing of the connection is left in any index."""
    manager = Manager()
    connection = connect(harness(), manager, user="alice", topics=["a", "b"])
    for _ in range(2):
        manager.remove(connection)
    assert (len(manager), manager.topics, connection.topics) == (0, {}, set())
    assert manager.send_to_user("alice", NEWS) == 0


async def test_a_removed_connection_cannot_subscribe(harness):
    """A late handler cannot bring a closed connection back into an index."""
    manager = Manager()
    connection = connect(harness(), manager)
    manager.remove(connection)
    manager.subscribe(connection, "news")
    assert manager.topics == {}


async def test_topics_of_one_connection_are_bounded(harness):
    """The topic after the last allowed one is refused."""
    manager = Manager(max_topics=2)
    connection = connect(harness(), manager, topics=["a", "b"])
    manager.subscribe(connection, "a")
    with pytest.raises(TooManyTopics, match="2 topics"):
        manager.subscribe(connection, "c")


async def test_who_asked_is_told_once_that_a_connection_has_gone(harness):
    """Its topics are still known then, and the registry has forgotten the connection."""
    manager, heard = Manager(), []
    connection = connect(harness(), manager, topics=["news"])

    def tell(gone):
        heard.append((gone is connection, set(gone.topics), gone in manager))

    connection.when_gone(tell)
    connection.when_gone(tell)
    assert manager.listeners("news") == 1
    manager.remove(connection)
    manager.remove(connection)
    assert heard == [(True, {"news"}, False)]
    assert manager.listeners("news") == 0


async def test_the_first_close_decides(harness):
    """Later reasons do not overwrite the first, and the owner is told once."""
    told = []
    connection = Connection(harness().outbox, on_close=lambda: told.append(1))
    connection.close(1013, "too slow")
    connection.close(1000)
    assert (connection.ending[:2], told) == ((1013, "too slow"), [1])
    assert "ended 1013" in repr(connection)


async def test_a_reason_that_no_frame_can_carry_is_refused(harness):
    """RFC 6455 leaves 123 bytes for the reason."""
    connection = Connection(harness().outbox, on_close=lambda: None)
    with pytest.raises(ValueError, match="at most 123 fit"):
        connection.close(1000, "é" * 62)
    assert connection.ending is None


async def test_a_teller_that_fails_keeps_nobody_in_the_registry(harness, caplog):
    """It is logged, the others are told, and the connection is forgotten all the same."""
    manager, heard = Manager(), []
    connection = connect(harness(), manager, user="ada", topics=["news"])
    connection.when_gone(heard.append)
    connection.when_gone(lambda _: 1 / 0)
    manager.remove(connection)
    assert heard == [connection]
    assert (len(manager), manager.listeners("news")) == (0, 0)
    assert "when_gone failed" in caplog.text
