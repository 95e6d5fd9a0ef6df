"""In order, once, or told: without a server."""

import asyncio
import json
import logging

import pytest

from labkit.architecture.inline import Turn
from labkit.production.log import Kept
from labkit.production.mirror import Mirror
from labkit.sse import History, Parser, Position

logger = logging.getLogger("labkit.production.mirror")


def message(data):
    return json.dumps({"event": None, "data": data}).encode()


def published(offset, data, epoch="e1"):
    return f"{epoch}:{offset} ".encode() + message(data)


def kept(offset, *numbers, epoch="e1"):
    return Kept(Position(epoch, offset), [(n, message(str(n))) for n in numbers])


class Seen:
    """A mirror, what it told, and a stream on it."""

    def __init__(self, *first):
        self.told = []
        self.mirror = Mirror(
            "t",
            History(),
            heard=lambda _topic, at, data: self.told.append((at.offset, data)),
            missed=lambda _topic, at: self.told.append(("gap", str(at))),
        )
        self.mirror.catch_up(kept(len(first), *first))
        self.mirror.joined = self.mirror.current = True
        self.told.clear()
        self.stream = self.mirror.hub.attach(frozenset({"t"}), None, None)
        self.stream.take()

    @property
    def streamed(self):
        Turn.of(asyncio.get_running_loop()).share_out()  # what the end of the turn would do
        return [each.event or each.data for each in Parser().feed(self.stream.take().wire)]


@pytest.fixture
async def seen():
    """A mirror that has read two events."""
    return Seen(1, 2)


async def test_the_next_event_is_handed_out(seen):
    """To streams and to whoever follows, with its position."""
    assert seen.mirror.offer(published(3, "x"))
    assert seen.told == [(3, "x")]
    assert seen.streamed == ["x"]


async def test_what_has_been_read_already_is_left_out(seen):
    """The channel may repeat what the Stream has said."""
    assert seen.mirror.offer(published(2, "again"))
    assert seen.told == []


@pytest.mark.parametrize("payload", [published(4, "x"), published(1, "x"), published(3, "x", "e2")])
async def test_any_other_number_says_that_we_are_behind(seen, payload):
    """It is not taken: the Stream knows better."""
    assert not seen.mirror.offer(payload)
    assert not seen.mirror.current
    assert seen.told == []


async def test_what_is_missing_is_read_up_without_a_gap(seen):
    """Nobody notices."""
    seen.mirror.offer(published(5, "x"))
    seen.mirror.catch_up(kept(5, 3, 4, 5))
    assert seen.told == [(3, "3"), (4, "4"), (5, "5")]


async def test_a_read_that_began_earlier_changes_nothing(seen):
    """What was taken meanwhile stays taken."""
    for n in (3, 4):
        seen.mirror.offer(published(n, "x"))
    seen.told.clear()
    seen.mirror.catch_up(kept(3, 3))
    assert seen.told == []
    assert seen.mirror.position == Position("e1", 4)


async def test_events_that_were_trimmed_are_a_gap(seen):
    """Told before what is left, at the place where they are missing."""
    seen.mirror.catch_up(kept(9, 8, 9))
    assert seen.told == [("gap", "e1:7"), (8, "8"), (9, "9")]
    assert seen.streamed == ["gap", "8", "9"]


async def test_events_of_which_nothing_is_left_are_a_gap(seen):
    """They have expired."""
    seen.mirror.catch_up(kept(9))
    assert seen.told == [("gap", "e1:9")]


async def test_a_server_that_came_back_empty_is_a_gap(seen):
    """Another epoch: no position from before counts."""
    before = str(seen.mirror.position)
    seen.mirror.catch_up(kept(1, 1, epoch="e2"))
    assert seen.told == [("gap", "e2:0"), (1, "1")]
    assert seen.mirror.hub.history.since(before).reason.value == "other epoch"


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"e1:x {}", b"\xff\xfe", b"E1:3 {}"])
async def test_nonsense_on_the_channel_is_skipped_and_counted(seen, payload, caplog):
    """Nothing is missing by it."""
    assert seen.mirror.offer(payload)
    assert seen.mirror.poison == 1
    assert seen.told == []
    assert "skipped a message on 't'" in caplog.text


@pytest.mark.parametrize("poison", [b"", b"[1]", b'{"data": 5}', b"[" * 100_000])
async def test_an_event_that_makes_no_sense_is_a_gap_and_the_rest_goes_on(seen, poison):
    """Its number is spent, so it is not asked for again."""
    assert seen.mirror.offer(b"e1:3 " + poison)
    assert seen.mirror.offer(published(4, "x"))
    seen.mirror.catch_up(Kept(Position("e1", 6), [(5, poison), (6, message("y"))]))
    assert seen.told == [("gap", "e1:3"), (4, "x"), ("gap", "e1:5"), (6, "y")]
    assert seen.mirror.poison == 2
