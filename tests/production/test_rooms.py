"""lab.v1 at two workers: said once, heard in order, recovered anywhere, or told."""

from labkit.messaging import Follower, Place
from labkit.testing.waiting import until
from tests.production.conftest import serving, until_type


async def events(socket, count):
    return [await until_type(socket, "event") for _ in range(count)]


async def test_what_is_said_at_one_worker_is_heard_at_both(valkey, person):
    """40 of 40, the same numbers, with the name that authentication knows and the server's time."""
    async with serving(valkey) as here, serving(valkey) as there:
        ada, bob = await person(here, "ada"), await person(there, "bob")
        (one, _), (two, _) = await ada.room(), await bob.room()
        for n in range(40):
            await (ada, bob)[n % 2].say(str(n))
        heard = [await events(socket, 40) for socket in (one, two)]
        assert heard[0] == heard[1]
        assert [event["data"]["text"] for event in heard[0]] == [str(n) for n in range(40)]
        assert [event["data"]["user"] for event in heard[0][:2]] == ["ada", "bob"]
        follower = Follower()
        assert {follower.hear(event["at"]) for event in heard[0]} == {Place.NEXT}
        assert heard[0][0]["time"].endswith("Z")


async def test_who_comes_back_to_another_worker_gets_what_was_missed_first(valkey, person):
    """In order, before anything new, and never a part."""
    async with serving(valkey) as here, serving(valkey) as there:
        ada = await person(here, "ada")
        socket, answer = await ada.room()
        await ada.say("0")
        (first,) = await events(socket, 1)
        await socket.close()
        for n in (1, 2):
            await ada.say(str(n))
        bob = await person(there, "ada")
        back, answer = await bob.room(after=first["at"])
        assert answer["recovered"] is True
        await ada.say("3")
        assert [each["data"]["text"] for each in await events(back, 3)] == ["1", "2", "3"]


async def test_a_position_that_means_nothing_is_told_as_a_gap(valkey, person):
    """The answer says so, and where it goes on."""
    async with serving(valkey) as server:
        ada = await person(server)
        for after in ("", "nonsense", "e0:7", "\u2603"):
            _, answer = await ada.room(after=after)
            assert answer["recovered"] is False
            assert answer["gap"] in {"malformed id", "other epoch"}
            assert answer["at"]


async def test_said_again_at_another_worker_it_is_said_once(valkey, person):
    """The first worker died before it could answer."""
    async with serving(valkey) as here, serving(valkey) as there:
        message = {"type": "publish", "id": "m1", "topic": "room:tea", "data": "hello"}
        answers = []
        for server in (here, there):
            ada = await person(server, "ada")
            socket, _ = await ada.room()
            await socket.send(message)
            answers.append(await until_type(socket, "ok"))
        assert answers[0] == answers[1]
        await socket.send(message | {"data": "something else"})
        assert (await until_type(socket, "error"))["code"] == "id_reused"
        bob = await person(there, "bob")
        other, _ = await bob.room()
        await other.send(message)  # another user's id is another id
        assert (await until_type(other, "ok"))["at"] != answers[0]["at"]


async def test_a_broker_that_came_back_empty_is_told_to_every_socket(valkey, person):
    """And everyone hears again."""
    async with serving(valkey) as server:
        service = server.app.state.service
        ada = await person(server)
        socket, _ = await ada.room()
        await ada.say("before")
        await events(socket, 1)
        valkey.restart()
        gap = await until_type(socket, "gap")
        assert gap["topic"] == "room:tea"
        await until(lambda: service.topics.connected)
        await ada.say("after")
        (event,) = await events(socket, 1)
        assert event["data"]["text"] == "after"
        assert event["at"].split(":")[0] == gap["at"].split(":")[0]


async def test_without_a_broker_a_message_is_refused_and_the_connection_stays(valkey, person):
    """The client sends it again when the answer is different."""
    async with serving(valkey, redis_timeout_s=0.3) as server:
        ada = await person(server)
        socket, _ = await ada.room()
        valkey.kill()
        message = {"type": "publish", "id": "m1", "topic": "room:tea", "data": "hello"}
        for refused in (message, {"type": "subscribe", "id": "s2", "topic": "room:two"}):
            await socket.send(refused)
            assert (await until_type(socket, "error"))["code"] == "unavailable"
        assert (await ada.say("x")).status_code == 503
        valkey.restart()
        await until_type(socket, "gap")
        await socket.send(message)
        assert (await until_type(socket, "ok"))["ref"] == "m1"


async def test_what_may_not_or_cannot_be_said_is_refused(valkey, person):
    """With an error that names it; the connection goes on."""
    say = {"type": "publish", "id": "1", "topic": "room:a"}
    async with serving(valkey) as server:
        socket = await (await person(server)).ws()
        for message, code in [
            ({"type": "subscribe", "topic": "user:bob"}, "forbidden"),
            (say | {"topic": "user:ada", "data": "x"}, "forbidden"),
            (say | {"data": {"a": 1}}, "bad_field"),
            (say | {"data": "x" * 2001}, "bad_field"),
            ({"type": "publish", "topic": "room:a", "data": "x"}, "bad_field"),
            ({"type": "fly"}, "unknown_type"),
        ]:
            await socket.send(message)
            assert (await socket.receive_json())["code"] == code
            await socket.send({"type": "ping", "id": "p"})
            assert await socket.receive_json() == {"type": "pong", "ref": "p"}


async def test_leaving_a_room_ends_it_and_gives_the_topic_back(valkey, person):
    """By a message, or with the connection."""
    async with serving(valkey) as server:
        service = server.app.state.service
        socket, _ = await (await person(server)).room()
        await socket.send({"type": "subscribe", "topic": "room:tea"})  # again: held once
        await until_type(socket, "ok")
        await socket.send({"type": "unsubscribe", "topic": "room:tea"})
        await until_type(socket, "ok")
        reader = service.topics._reader
        assert reader._wanted["labkit:{topic:room:tea}"] == 0
        await socket.send({"type": "subscribe", "topic": "room:tea"})
        await until_type(socket, "ok")
        await socket.close()
        await until(lambda: reader._wanted["labkit:{topic:room:tea}"] == 0)
        assert service.rooms._held == {}


async def test_a_connection_listens_to_so_many_rooms_at_most(valkey, person):
    """The one too many is not held either."""
    async with serving(valkey, max_topics=1) as server:
        socket, _ = await (await person(server)).room()
        await socket.send({"type": "subscribe", "topic": "room:two"})
        assert (await until_type(socket, "error"))["code"] == "too_many_topics"
        assert server.app.state.service.topics._reader._wanted["labkit:{topic:room:two}"] == 0


async def test_whoever_is_mentioned_gets_a_note(valkey, person):
    """On a topic that nobody else may hear, as an event stream."""
    async with serving(valkey) as here, serving(valkey) as there:
        ada, bob = await person(here, "ada"), await person(there, "bob")
        notes = await bob.events("user:bob")
        await ada.say("tea, @bob?", id="1")
        await ada.say("tea, @bob?", id="1")
        await ada.say("not you@bob.example")
        await ada.say("@bob", id="2")
        assert ["@bob" in (await notes.next()).data for _ in range(2)] == [True, True]
        await notes.close()


async def test_what_another_service_has_published_is_passed_on_as_text(valkey, person):
    """It shares the broker, not our form."""
    async with serving(valkey) as server:
        socket, _ = await (await person(server)).room()
        await server.app.state.service.topics.log.publish("room:tea", "[plain")
        (event,) = await events(socket, 1)
        assert event["data"] == "[plain"


async def test_users_are_told_who_is_in_the_room_at_any_worker(valkey, person):
    """Presence, as in room 4, of the whole service."""
    async with serving(valkey) as here, serving(valkey) as there:
        one, _ = await (await person(here, "ada")).room()
        assert (await until_type(one, "presence_state"))["users"] == {"ada": 1}
        two, _ = await (await person(there, "bob")).room()
        diff = await until_type(one, "presence_diff")
        while diff.get("joined") != ["bob"]:
            diff = await until_type(one, "presence_diff")
        assert "bob" in (await until_type(two, "presence_state"))["users"]
