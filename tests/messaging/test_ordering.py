"""What each side remembers, against models and all orders of events."""

import asyncio
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from labkit.architecture import ClientMessage, Refused
from labkit.messaging import Follower, Once, Place
from labkit.sse import History, Position, Recovered
from labkit.testing.clock import ManualClock


class Pay(ClientMessage):
    """A message that must not be done twice."""

    type: Literal["pay"] = "pay"
    amount: int = 1


@given(st.lists(st.integers(1, 6)))
def test_a_follower_that_hears_no_gap_has_missed_nothing(offsets):
    """Whatever arrives in whatever order, what it takes as next is 1, 2, 3 … without a hole."""
    follower = Follower(Position("e", 0))
    taken = [n for n in offsets if follower.hear(f"e:{n}") is Place.NEXT]
    assert taken == list(range(1, len(taken) + 1))


@given(st.integers(1, 30), st.sets(st.integers(1, 30)), st.integers(1, 10))
def test_who_resubscribes_at_a_gap_gets_everything_once_or_is_told(count, lost, kept):
    """With any messages lost on the way and any history: all in order, or a reset."""
    history, follower, heard = History(max_events=kept, epoch="e"), Follower(), []
    follower.jump("e:0")
    for n in range(1, count + 1):
        at = Position("e", history.append("t", str(n)).offset)
        if n in lost or follower.hear(str(at)) is Place.NEXT:
            heard += [] if n in lost else [n]
            continue
        since = history.since(str(follower.position))
        if not isinstance(since, Recovered):
            assert n - follower.position.offset > kept
            return
        heard += [each.offset for each in since.entries
                  if follower.hear(str(Position("e", each.offset))) is Place.NEXT]  # fmt: skip
    assert heard == list(range(1, len(heard) + 1))


def test_another_epoch_is_a_gap():
    """A restarted server counts from 1 again; that is not an old message."""
    follower = Follower(Position("a", 5))
    assert follower.hear("b:1") is Place.GAP
    assert follower.position == Position("a", 5)


def test_the_first_message_is_where_it_begins():
    """A client that knows nothing takes what comes; one that knows, leaves out what it has."""
    follower = Follower()
    places = [follower.hear(at) for at in ("e:7", "e:8", "e:8", "e:10")]
    assert places == [Place.NEXT, Place.NEXT, Place.AGAIN, Place.GAP]


def test_what_is_no_position_is_an_error():
    """A follower never guesses."""
    with pytest.raises(ValueError, match="is no position"):
        Follower().hear("7")


class Windows(RuleBasedStateMachine):
    """`Once` against a list of everything that was ever done."""

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.once = Once(max_ids=3, max_age_s=10, clock=self.clock)
        self.done = []  # (user, id, when), in order

    @rule(user=st.sampled_from("ab"), id_=st.sampled_from("12345"))
    def send(self, user, id_):
        """Do it unless it is among the user's last three of the last ten seconds."""
        calls = len(self.done)

        async def work():
            self.done.append((user, id_, self.clock()))
            return len(self.done)

        lately = [e for e in self.done if e[0] == user][-3:]
        remembered = any(e[1] == id_ and self.clock() - e[2] <= 10 for e in lately)
        answer = asyncio.run(self.once.do(user, Pay(id=id_), work))
        assert (len(self.done) == calls) is remembered
        assert self.done[answer - 1][:2] == (user, id_)

    @rule(seconds=st.sampled_from([1, 4, 11]))
    def wait(self, seconds):
        """Let time pass."""
        self.clock.advance(seconds)

    @invariant()
    def bounded(self):
        """Three ids of each of two users, never more."""
        assert len(self.once) <= 6


def test_the_window_agrees_with_the_model():
    """Any sequence of sends and waits: done once within the window, and done again after it."""
    run_state_machine_as_test(Windows)


async def test_twins_on_two_connections_are_done_once():
    """The same message at the same time waits for its twin, and gets its answer."""
    once, gate, calls = Once(), asyncio.Event(), []

    async def work():
        calls.append(1)
        await gate.wait()
        return "receipt"

    twins = [asyncio.create_task(once.do("ada", Pay(id="1"), work)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*twins) == ["receipt"] * 5
    assert calls == [1]


@pytest.mark.parametrize("ending", ["raises", "is cancelled"])
async def test_work_that_was_not_done_may_come_again(ending):
    """A failure is not remembered, and its twin takes over."""
    once, begun, calls = Once(), asyncio.Event(), []

    async def work():
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            await asyncio.sleep(0)
            if ending == "raises":
                raise KeyError("a bug")
            await asyncio.Event().wait()
        return "receipt"

    first = asyncio.create_task(once.do("ada", Pay(id="1"), work))
    await begun.wait()
    twin = asyncio.create_task(once.do("ada", Pay(id="1"), work))
    await asyncio.sleep(0)
    if ending == "is cancelled":
        first.cancel()
    await asyncio.wait({first})
    assert await twin == "receipt"
    assert (len(calls), type(first.exception()) if not first.cancelled() else None) == (
        2, KeyError if ending == "raises" else None)  # fmt: skip


async def test_an_id_is_one_message_only():
    """Another message with an old id is refused, not answered with the wrong receipt."""
    once = Once()

    async def work():
        return "receipt"

    await once.do("ada", Pay(id="1"), work)
    with pytest.raises(Refused, match="id_reused"):
        await once.do("ada", Pay(id="1", amount=2), work)
    assert await once.do("bob", Pay(id="1", amount=2), work) == "receipt"
    with pytest.raises(Refused, match="id_missing"):
        await once.do("ada", Pay(), work)


async def test_work_has_a_deadline():
    """Work that hangs ends, is not remembered, and holds nobody up after that."""
    once = Once(timeout_s=0.01)
    with pytest.raises(TimeoutError):
        await once.do("ada", Pay(id="1"), asyncio.Event().wait)
    assert len(once) == 0


@pytest.mark.parametrize("bound", ["max_ids", "max_age_s", "timeout_s"])
def test_a_bound_must_be_positive(bound):
    """The message names the field."""
    with pytest.raises(ValueError, match=bound):
        Once(**{bound: 0})
