"""The event-stream client: events, deadlines, and whether the end was clean."""

from __future__ import annotations

import pytest

from labkit.sse.format import Event
from labkit.testing.clients import Disconnected, Silence, SSEClient, Unreachable
from labkit.testing.link import Link


async def test_it_reads_events_and_what_belongs_to_them(server):
    """Events come one by one, with the id to resume from and the retry time."""
    async with await SSEClient.connect(server.url + "/events") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.next() == Event("0", id="0", retry_ms=700)
        assert [event.data for event in await stream.take(2)] == ["1", "2"]
        assert (stream.last_event_id, stream.retry_ms) == ("2", 700)


async def test_it_counts_comments_and_keeps_the_bytes(server):
    """Comments are counted and the body is there byte for byte."""
    async with await SSEClient.connect(server.url + "/plain") as stream:
        await stream.next()
        assert stream.comments == 1
        assert stream.raw == b": hello\n\ndata: one\n\n"


async def test_silence_does_not_end_the_stream(server):
    """A wait in vain says so, and the same stream can still be read."""
    async with await SSEClient.connect(server.url + "/events", name="ada") as stream:
        await stream.take(3)
        with pytest.raises(Silence, match=r"^ada heard nothing for 0\.01 s$"):
            await stream.next(timeout_s=0.01)
        assert repr(stream) == "SSEClient(ada, open)"


async def test_it_sends_the_id_to_resume_from(server, app):
    """`last_event_id` travels as a header and is kept until the stream sets another."""
    async with await SSEClient.connect(server.url + "/plain", last_event_id="41") as stream:
        await stream.next()
        assert stream.last_event_id == "41"


async def test_a_clean_end_is_told_from_a_broken_one(server):
    """A complete body is a clean end; a reset in the middle is not."""
    async with (
        Link(server.url) as link,
        await SSEClient.connect(server.url + "/finite") as finite,
        await SSEClient.connect(link.url + "/events", name="ada") as broken,
    ):
        await finite.next()
        assert await finite.closed() is True
        await broken.take(3)
        link.reset()
        assert await broken.closed() is False
        with pytest.raises(Disconnected, match=r"the stream of ada broke off \(HTTP 200\)"):
            await broken.next()


async def test_an_error_response_is_a_status(server):
    """A refused stream is no exception: the status says what happened."""
    async with await SSEClient.connect(server.url + "/nowhere") as stream:
        assert stream.status == 404
        with pytest.raises(Disconnected, match="HTTP 404"):
            await stream.next()
        assert stream.raw == b'{"detail":"Not Found"}'


async def test_nobody_there(server):
    """A server that is gone is named as the likely cause."""
    await server.stop()
    with pytest.raises(Unreachable, match="is the server running"):
        await SSEClient.connect(server.url + "/events")


async def test_closing_is_seen_by_the_server(server, app):
    """When the client leaves, the generator's cleanup runs."""
    stream = await SSEClient.connect(server.url + "/plain")
    await stream.next()
    await stream.close()
    await server.stop()
    assert app.state.ended == ["plain"]
