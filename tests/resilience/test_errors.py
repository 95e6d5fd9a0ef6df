"""Who is told what: every failure has one answer, one count, one log record, and one victim."""

import json
import logging
from typing import Literal

import httpx
import pytest

from labkit.architecture import ClientMessage, Refused, encode
from labkit.resilience import UNAVAILABLE, Answer, Breaker, CircuitOpenError, GuardedRouter
from labkit.testing.clients import Closed
from labkit.testing.faults import raw_frames, reset
from labkit.testing.flaky import Mood

MISTAKES = {
    "not JSON": ("{", "bad_json"),
    "nothing": ("", "bad_json"),
    "a byte order mark": ('\ufeff{"type":"ping"}', "bad_json"),
    "NaN": ('{"type":"say","text":NaN}', "bad_json"),
    "minus infinity": ('{"type":"say","text":-Infinity}', "bad_json"),
    "a number without end": ('{"type":"say","text":1e999}', "bad_field"),
    "a lone surrogate": ('{"type":"say","text":"\\ud800"}', "bad_json"),
    "nested 967 deep": ('{"type":"say","text":' + "[" * 967 + "]" * 967 + "}", "bad_json"),
    "nested 30,000 deep": ("[" * 30_000 + "]" * 30_000, "bad_json"),
    "5,000 digits": ('{"type":"say","text":' + "9" * 5000 + "}", "bad_json"),
    "a list": ("[1]", "not_an_object"),
    "a number": ("5", "not_an_object"),
    "null": ("null", "not_an_object"),
    "a text": ('"x"', "not_an_object"),
    "no type": ("{}", "unknown_type"),
    "an unknown type": ('{"type":"fly"}', "unknown_type"),
    "a type that is a list": ('{"type":["say"]}', "unknown_type"),
    "two types": ('{"type":"ping","type":"fly"}', "unknown_type"),
    "a field missing": ('{"type":"say"}', "bad_field"),
    "a field of a wrong type": ('{"type":"say","text":1}', "bad_field"),
    "a field too many": ('{"type":"say","text":"x","is_admin":true}', "bad_field"),
}


class Say(ClientMessage):
    """Publish to everyone."""

    type: Literal["say"]
    text: str


class Do(ClientMessage):
    """Run the test's own code."""

    type: Literal["do"]


def can_say(room):
    """Let clients talk in the room."""

    @room.router.on(Say)
    def say(connection, message):
        room.manager.publish("news", encode("said", text=message.text))


def does(room, action):
    """Let `do` run `action`, plain or asynchronous."""
    room.router.on(Do)(action)


def own(caplog, level=logging.INFO):
    """Return what this room and the session logged."""
    names = ("labkit.resilience.errors", "labkit.websocket.session")
    return [each for each in caplog.records if each.name in names and each.levelno >= level]


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_is_answered_counted_and_logged_once(room, caplog, name):
    """The connection lives, the neighbour hears nothing, the log holds nothing of the input."""
    text, code = MISTAKES[name]
    caplog.set_level(logging.INFO)
    async with room() as r:
        can_say(r)
        bob = await r.join("bob", topic="news")
        ada = await r.join("ada")
        await ada.send(text)
        assert (await ada.receive_json())["code"] == code
        assert r.router.counts == {"bad_message": 1}
        (record,) = own(caplog)
        assert record.levelno == logging.INFO
        assert record.getMessage().endswith("bad_message (not understood)")
        await ada.send({"type": "say", "text": "still here"})
        assert await bob.receive_json() == {"type": "said", "text": "still here"}


async def test_the_tenth_mistake_ends_the_connection(room):
    """Ten answers, ten counts, then 1008; the neighbour stays."""
    async with room() as r:
        bob, ada = await r.join("bob", topic="news"), await r.join("ada")
        for _ in range(10):
            await ada.send("{")
        assert await ada.closed() == Closed(1008, "too many bad messages")
        assert r.router.counts == {"bad_message": 10}
        assert bob.open


async def test_bytes_are_refused_with_1003(room):
    """No handler is called for them."""
    async with room() as r:
        ada = await r.join()
        await ada.send(b"\x00")
        assert (await ada.closed()).code == 1003


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x83\x00\x00\x00\x00\xff\xfe\xfd", 1007),
        (b"\x81\xff" + (70_000).to_bytes(8, "big") + b"\x00\x00\x00\x00" + b"x" * 70_000, 1009),
    ],
    ids=["not UTF-8", "too big"],
)
async def test_the_server_itself_refuses_what_is_no_message(room, eventually, frame, code):
    """A frame that is not UTF-8 or too big never reaches the router; the neighbour stays."""
    async with room() as r:
        bob = await r.join("bob", topic="news")
        reaction = await raw_frames(f"{r.server.ws_url}/ws", frame)
        assert reaction.code == code
        await eventually(lambda: len(r.manager) == 1)
        assert not r.router.counts
        assert bob.open


async def test_a_bug_is_one_traceback_and_1011(room, caplog):
    """The client gets an incident to quote, which is the connection's id in the log."""

    def bug(connection, message):
        raise KeyError("postgresql://app:hunter2@db")

    async with room() as r:
        does(r, bug)
        bob, ada = await r.join("bob", topic="news"), await r.join("ada")
        await ada.send({"type": "do", "id": "7"})
        reply = await ada.receive_json()
        assert await ada.closed() == Closed(1011, "server error")
        (record,) = own(caplog)
        assert record.exc_info is not None
        assert record.getMessage() == f"connection {reply['incident']} failed"
        assert (reply["code"], reply["ref"]) == ("internal", "7")
        assert "temporary" not in reply
        assert "hunter2" not in json.dumps(reply)
        assert r.router.counts == {"internal": 1}
        assert bob.open


async def test_a_message_of_ours_that_cannot_be_encoded_harms_its_sender_alone(room):
    """It fails before anyone gets it, so nobody is taken for dead."""
    async with room() as r:

        def poison(connection, message):
            r.manager.publish("news", encode("said", text="\ud800"))

        does(r, poison)
        crowd = [await r.join(f"guest {n}", topic="news") for n in range(5)]
        ada = await r.join("ada")
        await ada.send({"type": "do"})
        assert (await ada.closed()).code == 1011
        assert r.manager.publish("news", encode("alarm")) == 5
        assert [await each.receive_json() for each in crowd] == [{"type": "alarm"}] * 5


async def test_every_depth_has_an_answer_and_hurts_nobody(room):
    """There is no nesting that one parser takes and another encoder refuses."""
    async with room(max_strikes=10_000) as r:
        can_say(r)
        bob, ada = await r.join("bob", topic="news"), await r.join("ada")
        for depth in range(100, 1100, 10):
            await ada.send('{"type":"say","text":' + "[" * depth + "]" * depth + "}")
            assert (await ada.receive_json())["type"] == "error"
        await ada.send({"type": "say", "text": "x"})
        assert (await bob.receive_json())["text"] == "x"


@pytest.mark.parametrize("mood", [Mood.DIE, Mood.FAIL, Mood.HANG, Mood.LIE])
async def test_a_dependency_that_is_down_is_a_temporary_answer(room, service, caplog, mood):
    """The connection lives; the client learns that it may try again, and never why."""
    service.mood = mood
    timeout_s = 1 if mood is Mood.HANG else 5
    rates = Breaker("rates", failures=(httpx.HTTPError,), timeout_s=timeout_s)
    lie = Answer("bad_gateway", "a service gave an answer that makes no sense", temporary=True)
    async with room(known={httpx.HTTPError: UNAVAILABLE, json.JSONDecodeError: lie}) as r:

        async def rate(connection, message):
            async with httpx.AsyncClient() as client:
                answer = await rates.call(lambda: client.get(service.url))
                connection.send(encode("rate", **answer.raise_for_status().json()))

        does(r, rate)
        ada = await r.join()
        await ada.send({"type": "do", "id": "1"})
        wanted = lie if mood is Mood.LIE else UNAVAILABLE
        assert await ada.receive_json() == {
            "type": "error",
            "code": wanted.code,
            "detail": wanted.detail,
            "temporary": True,
            "ref": "1",
        }
        (record,) = own(caplog)
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert r.router.counts == {wanted.code: 1}
        service.mood = Mood.ANSWER
        await ada.send({"type": "do"})
        assert await ada.receive_json() == {"type": "rate", "rate": 1.25}


async def test_an_open_breaker_says_when_to_come_back(room):
    """Whole seconds, rounded up, also when a task group has wrapped the refusal."""
    async with room() as r:

        def refuse(connection, message):
            raise ExceptionGroup("tasks", [CircuitOpenError("rates", 2.1), TimeoutError()])

        does(r, refuse)
        ada = await r.join()
        await ada.send({"type": "do"})
        reply = await ada.receive_json()
        assert (reply["code"], reply["retry_after_s"]) == ("unavailable", 3)


async def test_a_group_with_one_bug_is_a_bug(room):
    """A known error beside it does not hide it."""
    async with room() as r:

        def both(connection, message):
            raise ExceptionGroup("tasks", [TimeoutError(), KeyError("bug")])

        does(r, both)
        ada = await r.join()
        await ada.send({"type": "do"})
        assert (await ada.closed()).code == 1011


async def test_a_refusal_is_counted_and_answered_once(room, caplog):
    """The router answers it; the guard only looks."""
    caplog.set_level(logging.INFO)

    def refuse(connection, message):
        raise Refused("too_poor", "you cannot pay")

    async with room() as r:
        does(r, refuse)
        ada = await r.join()
        await ada.send({"type": "do", "id": "1"})
        await ada.send({"type": "ping"})
        assert [m.get("code") for m in await ada.receive_many(2)] == ["too_poor", None]
        assert [each.levelno for each in own(caplog)] == [logging.INFO]
        assert r.router.counts == {"too_poor": 1}


def test_the_nearest_class_has_the_answer():
    """What is named more closely wins over what is known everywhere."""
    slow = Answer("slow", "the report takes too long", temporary=True)
    router = GuardedRouter(known={TimeoutError: slow})
    assert router._answer_to(TimeoutError()) is slow
    assert router._answer_to(ConnectionResetError()) is UNAVAILABLE
    assert router._answer_to(OSError("disk full")) is None


async def test_twenty_clients_that_vanish_leave_a_server_that_answers(room, eventually):
    """Every reader ends with its disconnect; nothing is logged as an error."""
    async with room() as r, httpx.AsyncClient(timeout=5) as http:
        reset(*[await r.join(f"guest {n}") for n in range(20)])
        await eventually(lambda: len(r.endings) == 20)
        assert (await http.get(f"{r.server.url}/health")).json() == "ok"
        assert len(r.manager) == 0
        assert [each for each in r.server.log if each.levelno >= logging.ERROR] == []
        assert not r.router.counts


async def test_no_line_of_the_log_can_be_forged(room, caplog, eventually):
    """What a client chooses, its messages and the id in them, is in no record of ours."""
    caplog.set_level(logging.INFO)
    async with room() as r:

        def bug(connection, message):
            raise KeyError(message.id)

        does(r, bug)
        ada = await r.join()
        await ada.send('{"type": "\\nCRITICAL root: payment approved"}')
        await ada.send({"type": "do", "id": "\nCRITICAL root: payment approved"})
        assert (await ada.closed()).code == 1011
        assert len(own(caplog)) == 2
        assert not [each for each in own(caplog) if "CRITICAL" in each.getMessage()]
