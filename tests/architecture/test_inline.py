"""The first step of a send without a task, and one callback for a whole turn."""

import asyncio

import pytest

from labkit.architecture.inline import MAX_POST, Once, Turn, begin


async def sent(steps, seen):
    """Suspend as often as `steps` says."""
    for n in range(steps):
        await asyncio.sleep(0)
        seen.append(n)
    seen.append("sent")


async def test_a_send_that_does_not_wait_is_done_at_once():
    """Its first step is all of it."""
    seen = []
    assert begin(sent(0, seen)) is None
    assert seen == ["sent"]


async def test_the_rest_of_a_send_is_somebodys_to_await():
    """It goes on where it was suspended, through every further wait."""
    seen = []
    rest = begin(sent(3, seen))
    assert seen == []
    await rest
    assert seen == [0, 1, 2, "sent"]


async def test_a_send_is_cancelled_with_the_task_that_carries_it_on():
    """It can clean up after itself."""
    seen, ready = [], asyncio.Event()

    async def waits():
        try:
            await ready.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def carry(rest):
        await rest

    task = asyncio.create_task(carry(begin(waits())))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert seen == ["cancelled"]


async def test_what_goes_wrong_at_once_is_raised_at_once():
    """The caller hears of it, not a task."""

    async def fails():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        begin(fails())


async def test_each_loop_has_a_turn_of_its_own():
    """The same for all that share a loop."""
    mine = Turn.of(asyncio.get_running_loop())
    other = asyncio.new_event_loop()
    try:
        assert Turn.of(asyncio.get_running_loop()) is mine
        assert Turn.of(other) is not mine
    finally:
        other.close()


async def test_what_is_added_while_a_turn_ends_is_flushed_in_it():
    """In the order in which it was added."""
    turn, seen = Turn(), []

    class Thing:
        def __init__(self, name, then=None):
            self.name, self.then = name, then

        def flush(self):
            seen.append(self.name)
            if self.then:
                turn.add(self.then)

    turn.add(Thing("a", then=Thing("c")))
    turn.add(Thing("b"))
    assert seen == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == ["a", "b", "c"]


class Outlet:
    """Keeps what it is given, in order, and how often it wrote."""

    def __init__(self, turn, fault=None):
        self.turn, self.fault = turn, fault
        self.got, self.waiting, self.writes = [], [], 0

    def put(self, message):
        self.turn.share_out()
        if not self.waiting:
            self.turn.add(self)
        self.waiting.append(message)

    def put_all(self, messages, size):
        if self.fault:
            raise self.fault
        assert size == len(messages)
        self.got += messages
        self.writes += 1

    def flush(self):
        self.got += self.waiting
        self.waiting = []
        self.writes += 1


async def test_what_is_said_to_one_audience_is_written_in_one_go():
    """However many messages a turn has for it."""
    turn = Turn()
    audience = Outlet(turn), Outlet(turn)
    for n in range(3):
        turn.say(audience, n, 1)
    assert [each.got for each in audience] == [[], []]
    await asyncio.sleep(0)
    assert [(each.got, each.writes) for each in audience] == [([0, 1, 2], 1)] * 2


async def test_what_is_said_keeps_its_order():
    """Before and behind what is said to others, and what is given to one alone."""
    turn = Turn()
    one, other = Outlet(turn), Outlet(turn)
    turn.say((one, other), "all", 1)
    turn.say((one,), "one", 1)
    other.put("other")
    turn.say((one, other), "all again", 1)
    await asyncio.sleep(0)
    assert (one.got, one.writes) == (["all", "one", "all again"], 1)
    assert (other.got, other.writes) == (["all", "other", "all again"], 1)


async def test_a_turn_that_says_too_much_leaves_it_to_the_outlets():
    """They have bounds of their own; nothing is lost on the way, and the order stays."""
    turn = Turn()
    one = Outlet(turn)
    for n in range(3 * MAX_POST):
        turn.say((one,), n, 1)
    assert one.waiting[:MAX_POST] == list(range(MAX_POST))
    await asyncio.sleep(0)
    assert one.got == list(range(3 * MAX_POST))


async def test_an_outlet_that_fails_takes_no_other_with_it():
    """The fault goes to the loop; the others are written in the next turn."""
    faults, turn = [], Turn()
    handler = asyncio.get_running_loop().set_exception_handler
    handler(lambda _, context: faults.append(context["exception"]))
    fault = ZeroDivisionError()
    first, broken, last = Outlet(turn), Outlet(turn, fault), Outlet(turn)
    turn.say((first, broken, last), "all", 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert faults == [fault]
    assert (first.got, last.got) == (["all"], ["all"])


def test_what_is_made_of_a_turn_is_made_once():
    """Whoever is given the same gets the very same; other messages are made anew."""
    made = []
    once = Once(lambda messages: made.append(list(messages)) or len(made))
    assert [once([1, 2]), once([1, 2]), once([2, 1]), once([1, 2])] == [2, 2, 3, 4]
    assert made == [[], [1, 2], [2, 1], [1, 2]]
