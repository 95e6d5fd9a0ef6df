"""A visit sees what its session does, and changes nothing in it."""

import asyncio

import pytest
from starlette.websockets import WebSocketDisconnect

from labkit.architecture import CloseCode, Ending
from labkit.monitoring import Visit
from labkit.testing.waiting import until


async def test_connection_and_visit_have_one_id(room):
    """What is logged before the session began is found under the connection's own id."""
    async with room() as here:
        await here.join()
        (connection,) = here.manager
        assert connection.id == here.visits[0].id


async def test_messages_are_counted_before_their_handler(room):
    """In characters and in bytes, text and binary; the handlers still get all of them."""
    got = []

    async def keep(connection, payload):
        got.append(payload)

    async with room(on_bytes=keep) as here:
        client = await here.join()
        await client.send("é")
        assert (await client.receive_json())["code"] == "bad_json"
        await client.send(b"12345")
        await until(lambda: got)
        visit = here.visits[0]
        assert (visit.received, visit.received_bytes) == (3, len('{"type":"ping"}') + 2 + 5)
        assert visit.sent == 2


async def test_the_greeting_of_the_session_is_still_given(room):
    """A visit joins an `on_open` that is there already."""
    greeted = []
    async with room(on_open=greeted.append) as here:
        await here.join()
        assert greeted == [here.visits[0].connection]


async def test_a_session_tells_how_it_ended(room):
    """Code, reason and by whom are the session's."""
    async with room() as here:
        client = await here.join()
        await client.close(1001, "bye")
        await until(lambda: here.visits[0].ending)
        assert here.visits[0].ended(None) == Ending(1001, "bye", "peer")


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (None, Ending(1000, "", "server")),
        (asyncio.CancelledError(), Ending(1012, "cancelled", "server")),
        (WebSocketDisconnect(1001, "bye"), Ending(1001, "bye", "peer")),
        (KeyError("a bug"), Ending(1011, "server error", "server")),
    ],
)
def test_without_a_session_the_exception_tells(error, ending):
    """A plain endpoint ends by a return, a cancellation, a disconnect or a bug."""
    assert Visit().ended(error) == ending


def test_what_the_endpoint_says_comes_before_the_exception():
    """It knows more than the exception type."""
    visit = Visit()
    visit.ending = Ending(CloseCode.FORBIDDEN, "not you", "server")
    assert visit.ended(RuntimeError()).code == CloseCode.FORBIDDEN
