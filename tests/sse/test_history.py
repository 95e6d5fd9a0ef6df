"""All events since a position, or a named reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sse.format import Parser
from labkit.sse.history import GapReason, History, Position, Recovered, Reset
from labkit.testing.clock import ManualClock


def texts(recovery):
    assert isinstance(recovery, Recovered)
    parser = Parser()
    return [event.data for entry in recovery.entries for event in parser.feed(entry.wire)]


def test_positions_are_counted_from_one_and_are_the_ids_on_the_wire():
    """What a client returns is what the history gave it."""
    history = History(epoch="e")
    entry = history.append("news", "hello", "greeting")
    (event,) = Parser().feed(entry.wire)
    assert (event.id, event.event, event.data) == ("e:1", "greeting", "hello")
    assert str(history.position) == "e:1"


def test_a_position_is_read_back_as_it_was_written():
    """Text and position are the same thing."""
    assert Position.parse(str(Position("abc", 7))) == Position("abc", 7)


def test_a_client_gets_exactly_what_it_missed():
    """From every position, the rest and nothing twice."""
    history = History(epoch="e")
    for number in range(5):
        history.append("t", str(number))
    for seen in range(6):
        assert texts(history.since(f"e:{seen}")) == [str(n) for n in range(seen, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "e:",
        ":7",
        "e:-1",
        "e:1.5",
        "e:7 ",
        " e:7",
        "E:7",
        "e:\u0667",  # a digit, but not one of ours
        "e:7:8",
        "e:7\n",
        "e:" + "9" * 19,
        "x" * 33 + ":1",
        "\x00",
        "💥",
    ],
)
def test_garbage_is_a_reset(text):
    """A client may send anything as its last id; nothing raises."""
    assert History(epoch="e").since(text) == Reset(GapReason.MALFORMED)


@given(st.text())
def test_no_text_at_all_raises(text):
    """Whatever a header may hold."""
    assert isinstance(History(epoch="e").since(text), Recovered | Reset)


def test_a_position_of_another_history_is_a_reset():
    """After a restart the numbers begin anew, and only the epoch tells."""
    assert History(epoch="new").since("old:0") == Reset(GapReason.OTHER_EPOCH)


def test_two_histories_have_different_epochs():
    """The default epoch is random."""
    assert History().position.epoch != History().position.epoch


def test_a_position_from_the_future_is_a_reset():
    """It was made up, or this is not the history that gave it."""
    assert History(epoch="e").since("e:1") == Reset(GapReason.FROM_THE_FUTURE)


def test_more_missed_than_kept_is_a_reset_and_never_a_part():
    """The oldest position that can be recovered is just before the oldest event."""
    history = History(epoch="e", max_events=3)
    for number in range(10):
        history.append("t", str(number))
    assert history.since("e:6") == Reset(GapReason.TOO_OLD)
    assert texts(history.since("e:7")) == ["7", "8", "9"]


def test_events_expire_with_the_clock():
    """After the maximum age an event cannot be recovered, and that is told."""
    clock = ManualClock()
    history = History(epoch="e", max_age_s=60, clock=clock)
    history.append("t", "old")
    clock.advance(40)
    history.append("t", "young")
    clock.advance(21)
    assert history.since("e:0") == Reset(GapReason.TOO_OLD)
    assert texts(history.since("e:1")) == ["young"]
    clock.advance(40)
    assert texts(history.since("e:2")) == []


def test_a_client_that_missed_nothing_recovers_even_from_an_empty_history():
    """Expiry does not matter to who has everything."""
    clock = ManualClock()
    history = History(epoch="e", max_age_s=60, clock=clock)
    history.append("t", "seen")
    clock.advance(1000)
    assert texts(history.since("e:1")) == []


def test_a_restart_makes_every_earlier_position_a_reset():
    """An outage is a new epoch."""
    history = History(epoch="e")
    history.append("t", "x")
    history.restart()
    assert history.since("e:1") == Reset(GapReason.OTHER_EPOCH)
    assert texts(history.since(str(history.position))) == []


def test_an_event_that_cannot_be_encoded_is_not_kept():
    """The error goes to the publisher; the offsets stay without a hole."""
    history = History(epoch="e")
    with pytest.raises(ValueError, match="event has a line break"):
        history.append("t", "x", "a\nb")
    assert str(history.position) == "e:0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_events": 0}, "max_events is 0"),
        ({"max_age_s": 0}, "max_age_s is 0"),
        ({"epoch": "not ok"}, "is no position"),
    ],
)
def test_an_impossible_history_is_refused(options, message):
    """The mistake is named where it is made."""
    with pytest.raises(ValueError, match=message):
        History(**options)


@given(
    st.integers(1, 8),
    st.lists(st.sampled_from(["publish", "publish", "age", "restart"])),
    st.integers(0, 40),
)
def test_never_a_partial_recovery(max_events, steps, seen):
    """Whatever happened, a recovery is complete: seen plus recovered is everything."""
    clock = ManualClock()
    history = History(max_events=max_events, max_age_s=10, clock=clock)
    published: list[str] = []
    for step in steps:
        if step == "publish":
            published.append(str(len(published)))
            history.append("t", published[-1])
        elif step == "age":
            clock.advance(6)
        else:
            history.restart()
            published.clear()
    recovery = history.since(f"{history.position.epoch}:{seen}")
    if isinstance(recovery, Recovered):
        assert published[:seen] + texts(recovery) == published


def test_a_history_can_go_on_where_somebody_else_counts():
    """A broker that numbers for many processes says where it stands."""
    history = History()
    history.append("t", "x")
    history.restart(Position("e7", 41))
    entry = history.append("t", "y")
    assert history.position == Position("e7", 42)
    assert history.since("e7:41").entries == (entry,)
    assert history.since("e7:40").reason is GapReason.TOO_OLD
