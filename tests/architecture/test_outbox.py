"""The publisher never waits, a healthy reader costs no task, a slow one is bounded."""

import asyncio
import itertools

import pytest

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.messages import Outgoing
from labkit.architecture.outbox import Outbox


def message(n, size=1, key=None):
    """Return a message with the payload `n`."""
    return Outgoing(str(n), size, key)


async def turn():
    """Let the loop finish the present turn."""
    await asyncio.sleep(0)


async def test_a_healthy_connection_needs_no_task(harness):
    """What is put in one turn is written at its end, in order, inline."""
    h = harness()
    assert all(h.outbox.put(message(n)) for n in range(3))
    assert h.pipe.got == []
    await turn()
    assert h.pipe.got == ["0", "1", "2"]
    assert h.outbox.sent == 3
    assert h.tasks == []


async def test_all_outboxes_of_a_turn_share_one_callback(harness, monkeypatch):
    """A thousand callbacks would cost as much as what they write."""
    houses = [harness() for _ in range(3)]
    loop, scheduled = asyncio.get_running_loop(), []
    monkeypatch.setattr(loop, "call_soon", lambda call, *_, **__: scheduled.append(call))
    for h in houses:
        h.outbox.put(message(0))
        h.outbox.put(message(1))
    monkeypatch.undo()
    assert len(scheduled) == 1
    scheduled[0]()
    assert [h.pipe.got for h in houses] == [["0", "1"]] * 3


async def test_a_writer_that_fails_takes_no_other_with_it(harness):
    """The fault goes to the loop; the others are written all the same."""

    class Broken:
        ready = True

        def write(self, messages):
            raise ZeroDivisionError

    faults = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    broken = Outbox(None, spawn=None, on_fail=None, writer=Broken())
    h = harness()
    broken.put(message(0))
    h.outbox.put(message(1))
    await turn()
    await turn()
    assert [type(each) for each in faults] == [ZeroDivisionError]
    assert h.pipe.got == ["1"]


async def test_a_stalled_reader_gets_one_task_and_a_backlog(harness):
    """Put returns at once while nothing is read; then everything arrives in order."""
    h = harness()
    h.pipe.writable.clear()
    for n in range(10):
        assert h.outbox.put(message(n))
        await turn()
    assert (h.pipe.got, len(h.tasks), h.outbox.waiting) == ([], 1, 9)
    h.pipe.writable.set()
    await h.settle()
    assert h.pipe.got == [str(n) for n in range(10)]


async def test_after_a_stall_sending_is_inline_again(harness):
    """A reader that has caught up costs no task any more."""
    h = harness()
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    h.pipe.writable.set()
    await h.settle()
    h.outbox.put(message(1))
    await turn()
    assert h.pipe.got == ["0", "1"]
    assert len(h.tasks) == 1


async def test_overflow_ends_the_connection_once_with_1013(harness):
    """Under DISCONNECT the message that does not fit is the last one."""
    h = harness(Backlog(max_items=2))
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    assert [h.outbox.put(message(n)) for n in range(1, 6)] == [True, True, False, False, False]
    assert h.failures == [(1013, "too slow")]
    assert h.outbox.waiting == 0
    h.pipe.writable.set()
    await h.settle()


async def test_drop_oldest_keeps_the_connection(harness):
    """Under DROP_OLDEST a slow reader loses the old and stays."""
    h = harness(Backlog(max_items=2, overflow=Overflow.DROP_OLDEST))
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    for n in range(1, 6):
        assert h.outbox.put(message(n))
    h.pipe.writable.set()
    await h.settle()
    assert (h.pipe.got, h.outbox.dropped, h.failures) == (["0", "4", "5"], 3, [])


async def test_a_long_turn_is_not_taken_for_a_slow_reader(harness):
    """A publisher that sends more than the bound in one turn harms no healthy reader."""
    h = harness(Backlog(max_items=2))
    assert all(h.outbox.put(message(n)) for n in range(100))
    await turn()
    assert h.pipe.got == [str(n) for n in range(100)]
    assert h.failures == []


async def test_the_write_deadline_ends_a_stalled_connection(harness):
    """A write that takes longer than the deadline closes with 1013."""
    h = harness(write_timeout_s=0.01)
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    await h.settle()
    assert h.failures == [(1013, "too slow")]
    assert h.outbox.put(message(1)) is False


async def test_a_failed_send_ends_the_connection_and_nothing_else(harness):
    """An error of the transport reaches neither the publisher nor the loop."""
    h = harness()
    h.pipe.error = ConnectionResetError("gone")
    assert h.outbox.put(message(0))
    await turn()
    assert h.failures == [(1006, "the peer is gone")]


async def test_a_failed_send_after_a_stall_ends_it_too(harness):
    """The drain task reports as the inline path does."""
    h = harness()
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    h.pipe.error = ConnectionResetError("gone")
    h.pipe.writable.set()
    await h.settle()
    assert h.failures == [(1006, "the peer is gone")]


async def test_join_waits_until_all_is_written(harness):
    """A farewell can be sure that what was put before it is out."""
    h = harness()
    h.pipe.writable.clear()
    for n in range(3):
        h.outbox.put(message(n))
    joining = asyncio.ensure_future(h.outbox.join())
    await turn()
    assert not joining.done()
    h.pipe.writable.set()
    async with asyncio.timeout(5):
        await joining
    assert h.pipe.got == ["0", "1", "2"]


async def test_close_lets_join_go_and_forgets_what_waits(harness):
    """Nobody waits for a connection that is over."""
    h = harness()
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    h.outbox.put(message(1))
    joining = asyncio.ensure_future(h.outbox.join())
    await turn()
    h.outbox.close()
    async with asyncio.timeout(5):
        await joining
    assert h.outbox.waiting == 0
    h.tasks[0].cancel()


async def test_cancelling_the_drain_task_reaches_the_send(harness):
    """A session that ends takes the suspended write with it."""
    h = harness()
    h.pipe.writable.clear()
    h.outbox.put(message(0))
    await turn()
    h.tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await h.tasks[0]
    h.pipe.writable.set()
    await turn()
    assert h.pipe.got == []


@pytest.mark.parametrize("stalls", list(itertools.product([False, True], repeat=4)))
async def test_order_holds_wherever_the_reader_stalls(harness, stalls):
    """Inline, backlog, inline again: the order is the order of the puts."""
    h = harness()
    numbers = itertools.count()
    for stalled in stalls:
        if stalled:
            h.pipe.writable.clear()
        for _ in range(3):
            h.outbox.put(message(next(numbers)))
            await turn()
        h.pipe.writable.set()
        h.outbox.put(message(next(numbers)))
    async with asyncio.timeout(5):
        await h.outbox.join()
    assert h.pipe.got == [str(n) for n in range(16)]
