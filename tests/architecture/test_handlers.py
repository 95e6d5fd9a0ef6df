"""A client's mistake is answered, the connection lives; a fault of ours is not hidden."""

import asyncio
import json
from typing import Literal

import pytest

from labkit.architecture.handlers import Refused, Router, add_subscriptions
from labkit.architecture.manager import Connection, Manager
from labkit.architecture.messages import ClientMessage, encode


class Say(ClientMessage):
    """A message of the application."""

    type: Literal["say"]
    text: str


class Room:
    """A router with subscriptions, a manager and one connection."""

    def __init__(self, harness, may_subscribe=lambda *_: True, **options):
        self.h = harness()
        self.manager = Manager(max_topics=2)
        self.router = Router(**options)
        add_subscriptions(self.router, self.manager, may_subscribe=may_subscribe)
        self.connection = Connection(self.h.outbox, on_close=lambda: None, user="ada")
        self.manager.add(self.connection)

    async def says(self, text):
        """Hand one text to the router; return what was answered."""
        del self.h.pipe.got[:]
        await self.router(self.connection, text)
        await asyncio.sleep(0)
        return [json.loads(each) for each in self.h.pipe.got]


async def test_subscribe_is_answered_and_takes_effect(harness):
    """The answer carries the client's own id."""
    room = Room(harness)
    assert await room.says('{"type":"subscribe","topic":"news","id":"1"}') == [
        {"type": "ok", "ref": "1"}
    ]
    assert room.manager.topics == {"news": 1}
    await room.says('{"type":"unsubscribe","topic":"news"}')
    assert room.manager.topics == {}


async def test_a_topic_that_may_not_be_heard_is_refused(harness):
    """Permission is asked with connection and topic; the refusal is an answer."""
    room = Room(harness, may_subscribe=lambda c, topic: topic.startswith(f"user:{c.user}:"))
    assert (await room.says('{"type":"subscribe","topic":"user:eve:mail"}'))[0][
        "code"
    ] == "forbidden"
    assert room.manager.topics == {}


async def test_the_wildcard_is_not_a_topic(harness):
    """Nobody can ask for everything."""
    room = Room(harness)
    assert (await room.says('{"type":"subscribe","topic":"*"}'))[0]["code"] == "bad_field"


async def test_too_many_topics_is_an_answer(harness):
    """The bound of the manager reaches the client as an error, not as a close."""
    room = Room(harness)
    for topic in "ab":
        await room.says(json.dumps({"type": "subscribe", "topic": topic}))
    assert (await room.says('{"type":"subscribe","topic":"c"}'))[0]["code"] == "too_many_topics"
    assert room.connection.ending is None


async def test_ping_is_answered_and_pong_is_not(harness):
    """A ping gets a pong; a pong is only a sign of life."""
    room = Room(harness)
    assert await room.says('{"type":"ping","id":"p"}') == [{"type": "pong", "ref": "p"}]
    assert await room.says('{"type":"pong"}') == []


@pytest.mark.parametrize("text", ["[1]", "5", "null", "{", '{"type":"fly"}'])
async def test_a_bad_message_is_answered_and_the_connection_lives(harness, text):
    """One error reply each, and the next good message works."""
    room = Room(harness)
    assert [each["type"] for each in await room.says(text)] == ["error"]
    assert room.connection.ending is None
    assert (await room.says('{"type":"ping"}'))[0]["type"] == "pong"


async def test_too_many_bad_messages_close_with_1008(harness):
    """A client that does not learn is sent away."""
    room = Room(harness, max_strikes=3)
    for _ in range(3):
        assert room.connection.ending is None
        await room.says("{")
    assert room.connection.ending.code == 1008


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_may_be_a_function_or_a_coroutine_function(harness, asynchronous):
    """Both kinds are called with the connection and the validated message."""
    room = Room(harness)

    def echo(connection, message):
        connection.send(encode("echo", text=message.text))

    async def echo_later(connection, message):
        echo(connection, message)

    room.router.on(Say)(echo_later if asynchronous else echo)
    assert await room.says('{"type":"say","text":"hi"}') == [{"type": "echo", "text": "hi"}]


async def test_refused_is_an_answer_and_no_strike(harness):
    """A handler can say no without ending anything."""
    room = Room(harness, max_strikes=1)

    @room.router.on(Say)
    def never(connection, message):
        raise Refused("muted", "you are muted")

    assert await room.says('{"type":"say","text":"hi","id":"9"}') == [
        {"type": "error", "code": "muted", "detail": "you are muted", "ref": "9"}
    ]
    assert room.connection.ending is None


async def test_a_bug_in_a_handler_is_not_hidden(harness):
    """The session has to know: it logs it and closes with 1011."""
    room = Room(harness)

    @room.router.on(Say)
    async def broken(connection, message):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await room.says('{"type":"say","text":"hi"}')


async def test_a_message_type_has_one_handler(harness):
    """Registering a second one is a mistake, found at start-up."""
    room = Room(harness)
    room.router.on(Say)(lambda *_: None)
    with pytest.raises(ValueError, match="Say has a handler already"):
        room.router.on(Say)


async def test_a_router_without_handlers_answers_too(harness):
    """An endpoint that understands nothing says so."""
    room = Room(harness)
    room.router = Router()
    assert (await room.says('{"type":"ping"}'))[0]["code"] == "unknown_type"
