"""No is the answer to everything that no rule allows, when asking and when delivering."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.architecture import ClientMessage, Manager, Subscribe, Topic, encode
from labkit.auth import Access, Action, GuardedRouter
from labkit.testing.clients import Closed, Silence

LISTEN, PUBLISH = Action.LISTEN, Action.PUBLISH


class Announce(ClientMessage):
    type: Literal["announce"]
    topic: Topic


@pytest.fixture
def access():
    access = Access()
    access.allow(None, LISTEN, "news")
    access.allow(None, LISTEN, "user:{user}:*")
    access.allow("ada", PUBLISH, "news")
    access.allow("eve", LISTEN, "desk:*")
    return access


@pytest.mark.parametrize(
    ("user", "action", "topic", "allowed"),
    [
        (None, LISTEN, "news", True),
        ("ada", LISTEN, "news", True),
        ("ada", PUBLISH, "news", True),
        ("eve", PUBLISH, "news", False),
        ("ada", LISTEN, "user:ada:mail", True),
        ("ada", LISTEN, "user:ada", False),
        ("ada", LISTEN, "user:adam:mail", False),
        ("eve", LISTEN, "user:ada:mail", False),
        ("ada", PUBLISH, "user:ada:mail", False),
        (None, LISTEN, "user:None:mail", False),
        ("", LISTEN, "user::mail", False),
        ("ada:mail", LISTEN, "user:ada:mail:x", False),
        ("*", LISTEN, "user:*:mail", False),
        ("eve", LISTEN, "desk:1", True),
        ("eve", LISTEN, "desk", False),
        ("ada", LISTEN, "*", False),
        ("ada", LISTEN, "user:*", False),
        ("ada", LISTEN, "NEWS", False),
        ("ada", LISTEN, "news ", False),
    ],
)
def test_a_rule_allows_what_it_says_and_nothing_else(access, user, action, topic, allowed):
    """Subject, action and topic decide together."""
    assert access.may(user, action, topic) is allowed


@given(st.none() | st.text(max_size=8), st.sampled_from(Action), st.text(max_size=20))
def test_without_rules_the_answer_is_no(user, action, topic):
    """Nothing is allowed by default, whoever asks for whatever."""
    assert not Access().may(user, action, topic)


def test_a_remembered_answer_ends_with_the_rule(access, monkeypatch):
    """Allowing and withdrawing count at once, and the memory is bounded."""
    monkeypatch.setattr("labkit.auth.access.MAX_ANSWERS", 3)
    for _ in range(2):
        assert not access.may("eve", PUBLISH, "news")
        access.allow("eve", PUBLISH, "news")
        assert access.may("eve", PUBLISH, "news")
        access.withdraw("eve", PUBLISH, "news")
    for n in range(10):
        access.may("eve", LISTEN, str(n))
    assert len(access._answers) <= 3


def test_a_forgotten_permission_is_an_error_at_import():
    """A message type cannot be registered without what it needs."""
    router = GuardedRouter(Manager(), Access())
    with pytest.raises(TypeError, match="'action' and 'topic'"):
        router.on(Announce)


@pytest.fixture
def announcing(service):
    """A service in which `announce` needs the right to publish."""

    def prepare(lab):
        @lab.router.on(Announce, action=PUBLISH, topic=lambda message: message.topic)
        def announce(connection, message):
            lab.manager.publish(message.topic, encode("announcement"))
            connection.send(encode("ok", ref=message.id))

        lab.access.allow("ada", PUBLISH, "news")
        return lab

    return prepare


async def ask(client, type_, topic):
    await client.send({"type": type_, "topic": topic})
    answer = await client.receive_json()
    return answer.get("code", answer["type"])


async def test_who_may_not_publish_is_told_and_nobody_hears(service, announcing, recorder):
    """The same message: an answer for Ada, an error for Eve, one count and one line."""
    async with service() as lab:
        announcing(lab)
        ada, eve = await lab.enter(), await lab.enter(name="eve")
        assert await ask(ada, "subscribe", "news") == "ok"
        assert await ask(eve, "announce", "news") == "forbidden"
        with pytest.raises(Silence):
            await ada.receive(timeout_s=0.1)
        assert await ask(ada, "announce", "news") == "announcement"
        assert lab.access.denied == {PUBLISH: 1}
        assert [line for line in recorder.lines if "denied" in line] == [
            "INFO labkit.auth.access denied: eve may not publish here"
        ]


async def test_a_name_in_the_address_or_in_the_message_is_nobody(service):
    """`?user_id=admin` and a `user` field change nothing: only the token speaks."""
    async with service() as lab:
        lab.access.allow("admin", LISTEN, "salary")
        mallory = await lab.join("/first?user_id=admin", "mallory")
        await mallory.send({"type": "auth", "token": lab.token("mallory"), "user": "admin"})
        assert await ask(mallory, "subscribe", "salary") == "forbidden"
        await mallory.send({"type": "subscribe", "topic": "salary", "user": "admin"})
        assert (await mallory.receive_json())["code"] == "bad_field"


async def test_somebody_elses_topic_and_wildcards_are_refused(service):
    """Before delivery there is the subscription, and it asks as well."""
    async with service() as lab:
        eve = await lab.enter(name="eve")
        assert await ask(eve, "subscribe", "user:ada:mail") == "forbidden"
        assert await ask(eve, "subscribe", "user:eve:mail") == "ok"
        assert await ask(eve, "subscribe", "*") == "bad_field"


async def test_a_withdrawn_permission_works_at_the_next_delivery(service):
    """Eve hears nothing any more, Ada does, and the connection stays."""
    async with service() as lab:
        lab.access.allow("eve", LISTEN, "desk")
        lab.access.allow("ada", LISTEN, "desk")
        ada, eve = await lab.enter(), await lab.enter(name="eve")
        for client in (ada, eve):
            assert await ask(client, "subscribe", "desk") == "ok"
        assert lab.manager.publish("desk", encode("event", n=1)) == 2
        lab.access.withdraw("eve", LISTEN, "desk")
        assert lab.manager.publish("desk", encode("event", n=2)) == 1
        assert [m["n"] for m in await ada.receive_many(2)] == [1, 2]
        assert (await eve.receive_json())["n"] == 1
        assert await ask(eve, "subscribe", "news") == "ok"
        assert lab.manager.topics == {"desk": 1, "news": 1}


async def test_many_denials_end_the_connection(service):
    """The tenth no is the last: 4501, stop."""
    async with service() as lab:
        eve = await lab.enter(name="eve")
        for _ in range(9):
            assert await ask(eve, "subscribe", "user:ada:mail") == "forbidden"
        await eve.send({"type": "subscribe", "topic": "user:ada:mail"})
        assert await eve.closed() == Closed(4501, "too many denials")


async def test_a_router_without_a_manager_leaves_the_subscriptions_to_the_application():
    """Its own `subscribe` says what it needs, as every message does."""
    router = GuardedRouter(None, Access())

    @router.on(Subscribe, action=LISTEN, topic=lambda message: message.topic)
    def subscribe(_connection, _message):
        """Answer it in the application's own way."""

    with pytest.raises(ValueError, match="has a handler already"):
        router.on(Subscribe, action=LISTEN, topic="news")(subscribe)
