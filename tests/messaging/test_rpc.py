"""Questions to one client, over real sockets."""

import asyncio
from typing import Literal

import pytest

from labkit.architecture import ClientMessage, Refused, encode
from labkit.messaging import PeerGone, PeerRefused, TooManyQuestions
from labkit.testing.faults import reset
from labkit.testing.waiting import until

PATIENT_S = 5.0


class Order(ClientMessage):
    """A message whose handler asks back."""

    type: Literal["order"]


async def connected(room, name="ada"):
    """Return a client and the connection that the server made for it."""
    before = set(room.manager)
    client = await room.join(name)
    await until(lambda: set(room.manager) - before)
    (connection,) = set(room.manager) - before
    return client, connection


def asking(room, connection, timeout_s=PATIENT_S, **fields):
    """Ask in a task of its own."""
    return asyncio.create_task(room.asks.ask(connection, "confirm", timeout_s=timeout_s, **fields))


async def test_an_answer_reaches_who_asked(room):
    """The question travels with its fields, the answer's data comes back, nothing is kept."""
    async with room() as r:
        client, connection = await connected(r)
        task = asking(r, connection, order=7)
        question = await client.receive_json()
        assert question == {"type": "ask", "id": "1", "question": "confirm", "order": 7}
        await client.send({"type": "answer", "ref": "1", "data": {"yes": True}})
        assert await task == {"yes": True}
        assert r.asks.pending == {}


async def test_only_the_connection_that_was_asked_can_answer(room):
    """Another one that knows the id is not listened to; guards the guide's `confirmed by b`."""
    async with room() as r:
        ada, connection = await connected(r)
        eve, _ = await connected(r, "eve")
        task = asking(r, connection)
        ref = (await ada.receive_json())["id"]
        await eve.send({"type": "answer", "ref": ref, "data": "by eve"})
        await eve.send({"type": "ping"})
        assert (await eve.receive_json())["type"] == "pong"
        assert not task.done()
        await ada.send({"type": "answer", "ref": ref, "data": "by ada"})
        assert await task == "by ada"


@pytest.mark.parametrize("answered", [True, False])
async def test_a_handler_may_ask_its_own_client(room, answered):
    """The answer overtakes what waits for the handler; what waited is handled after it."""
    async with room() as r:

        @r.router.on(Order)
        async def order(connection, message):
            try:
                said = await r.asks.ask(connection, "confirm", timeout_s=PATIENT_S)
            except PeerRefused as error:
                raise Refused("not_confirmed", "you said no") from error
            connection.send(encode("ok", said=said))

        client = await r.join()
        await client.send({"type": "order"})
        ref = (await client.receive_json())["id"]
        await client.send({"type": "ping", "id": "in between"})
        reply = {"type": "answer", "data": 1} if answered else {"type": "refusal", "code": "no"}
        await client.send({**reply, "ref": ref})
        first, second = await client.receive_many(2)
        assert first.get("said" if answered else "code") == (1 if answered else "not_confirmed")
        assert second == {"type": "pong", "ref": "in between"}


async def test_a_refusal_that_a_handler_lets_pass_refuses_its_message(room):
    """No client can end a conversation, or fill the log, by saying no."""
    async with room() as r:

        @r.router.on(Order)
        async def order(connection, message):
            await r.asks.ask(connection, "confirm", timeout_s=PATIENT_S)

        client = await r.join()
        await client.send({"type": "order", "id": "1"})
        ref = (await client.receive_json())["id"]
        await client.send({"type": "refusal", "ref": ref, "code": "no"})
        error = await client.receive_json()
        assert (error["code"], error["ref"]) == ("peer_refused", "1")
        await client.send({"type": "ping"})
        assert (await client.receive_json())["type"] == "pong"


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_is_known_at_once(room, leave):
    """No matter how long the deadline is, every asker learns that there will be no answer."""
    async with room() as r:
        client, connection = await connected(r)
        tasks = [asking(r, connection, timeout_s=3600) for _ in range(3)]
        await client.receive_many(3)
        await client.close() if leave == "close" else reset(client)
        async with asyncio.timeout(PATIENT_S):
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in outcomes] == [PeerGone] * 3
        assert r.asks.pending == {}


async def test_a_question_that_cannot_be_sent_fails_at_once(room):
    """A connection that has gone is not asked, and one that takes no more says so."""
    async with room() as r:
        client, connection = await connected(r)
        connection.outbox.close()
        with pytest.raises(PeerGone, match="takes no more"):
            await r.asks.ask(connection, "confirm", timeout_s=3600)
        await client.close()
        await until(lambda: not len(r.manager))
        with pytest.raises(PeerGone, match="not connected"):
            await r.asks.ask(connection, "confirm", timeout_s=3600)
        assert r.asks.pending == {}


async def test_a_question_that_json_cannot_say_harms_nobody(room):
    """The asker gets the error, and the connection goes on."""
    async with room() as r:
        client, connection = await connected(r)
        with pytest.raises(ValueError, match="cannot be encoded"):
            await r.asks.ask(connection, "confirm", timeout_s=1, when=object())
        await client.send({"type": "ping"})
        assert (await client.receive_json())["type"] == "pong"
        assert r.asks.pending == {}


async def test_cancelled_askers_leave_nothing(room):
    """Two hundred are cancelled while they wait."""
    async with room(max_waiting=200) as r:
        client, connection = await connected(r)
        tasks = [asking(r, connection) for _ in range(200)]
        await client.receive_many(200)
        assert r.asks.pending == {connection: 200}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert r.asks.pending == {}


async def test_silence_is_a_timeout_and_a_late_answer_nothing(room):
    """What comes after the deadline is ignored, and so is an answer to no question."""
    async with room() as r:
        client, connection = await connected(r)
        with pytest.raises(TimeoutError):
            await r.asks.ask(connection, "confirm", timeout_s=0.01)
        ref = (await client.receive_json())["id"]
        for each in (ref, ref, "never asked"):
            await client.send({"type": "answer", "ref": each})
        await client.send({"type": "ping"})
        assert (await client.receive_json())["type"] == "pong"
        assert r.asks.pending == {}


@pytest.mark.parametrize("ref", ['["1"]', "1", "null", '{"a": 1}'])
async def test_an_id_of_another_kind_is_explained(room, ref):
    """An id that cannot be a key is an error in answer, while a question is open or not."""
    async with room() as r:
        client, connection = await connected(r)
        task = asking(r, connection)
        await client.receive_json()
        await client.send(f'{{"type": "answer", "ref": {ref}}}')
        assert (await client.receive_json())["code"] == "bad_field"
        await client.send({"type": "answer", "ref": "1"})
        assert await task is None


async def test_two_answers_at_once_are_one(room):
    """The second, in the same turn of the loop, does not overtake, and breaks nothing."""
    async with room() as r:
        client, connection = await connected(r)
        task = asking(r, connection)
        await client.receive_json()
        texts = [f'{{"type": "answer", "ref": "1", "data": {n}}}' for n in (1, 2)]
        assert [r.asks.overtakes(connection, text) for text in texts] == [True, False]
        assert await task == 1


async def test_one_client_is_asked_a_bounded_number_of_questions(room):
    """The next one is refused before it is sent; an answer makes room."""
    async with room(max_waiting=2) as r:
        client, connection = await connected(r)
        tasks = [asking(r, connection) for _ in range(2)]
        questions = await client.receive_many(2)
        with pytest.raises(TooManyQuestions):
            await r.asks.ask(connection, "confirm", timeout_s=1)
        await client.send({"type": "answer", "ref": questions[0]["id"]})
        await tasks[0]
        again = asking(r, connection)
        await client.send({"type": "answer", "ref": (await client.receive_json())["id"]})
        await client.send({"type": "answer", "ref": questions[1]["id"]})
        await asyncio.gather(again, *tasks)
