"""An answer is judged, whatever it is and whatever it does."""

from __future__ import annotations

import asyncio

import pytest

from labkit.workbench.exercises import catalogue
from labkit.workbench.exercises.engine import Exercise, expect_equal
from labkit.workbench.exercises.judge import State, judge

HINTS = ("one", "two")


def an_exercise(timeout_s: float = 5.0) -> Exercise:
    exercise = Exercise("97.1", title="Answer", hints=HINTS, timeout_s=timeout_s)

    @exercise.solution
    async def answer(value):
        return value

    @exercise.check
    async def check(answer):
        expect_equal(await answer(3), 3, given="3", because="return the value")

    return exercise


async def outcome(answer, timeout_s: float = 5.0):
    return await judge(an_exercise(timeout_s), answer)


async def test_the_right_answer_passes():
    """The line holds the title."""

    async def answer(value):
        return value

    assert str(await outcome(answer)) == "✓ 97.1 Answer"


async def test_an_answer_without_return_is_told_so():
    """None where a value was due has one likely cause."""

    async def answer(value):
        value + 1

    text = str(await outcome(answer))
    assert text == "✗ 97.1 given 3 · got None, not 3 · return the value · did you forget `return`?"


async def test_an_untouched_stub_is_not_done_and_no_attempt():
    """What was not tried is not refused."""

    async def answer(value): ...

    found = await outcome(answer)
    assert found.state is State.NOT_DONE
    assert not found.attempt


async def test_a_not_implemented_error_from_elsewhere_is_not_done():
    """A hole may sit in a helper that the answer calls."""

    def helper():
        raise NotImplementedError

    async def answer(value):
        return helper()

    assert (await outcome(answer)).state is State.NOT_DONE


async def test_an_exception_is_named_with_its_line():
    """The learner sees which line raised."""

    async def answer(value):
        return {}["missing"]

    assert str(await outcome(answer)) == (
        "✗ 97.1 it raised KeyError: 'missing' · at `return {}[\"missing\"]`"
    )


async def test_the_first_exception_of_a_group_is_named():
    """A task group does not hide what happened."""

    async def answer(value):
        raise ExceptionGroup("many", [ExceptionGroup("more", [ValueError("the cause")])])

    assert "it raised ValueError: the cause" in str(await outcome(answer))


async def test_an_answer_that_hangs_is_cut_at_the_deadline():
    """An endless await becomes a sentence."""

    async def answer(value):
        await asyncio.Event().wait()

    text = str(await outcome(answer, timeout_s=0.05))
    assert "no answer within 0.05 s · look for an `await` that nothing ends" in text


async def test_an_answer_that_swallows_its_cancellation_is_told_so(monkeypatch):
    """The check gives up on a task that refuses to end."""
    monkeypatch.setattr("labkit.workbench.exercises.judge.GRACE_S", 0.05)
    release = asyncio.Event()

    async def answer(value):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    found = await outcome(answer, timeout_s=0.05)
    release.set()
    assert "swallows its cancellation" in str(found)


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError()])
async def test_an_answer_that_tries_to_end_the_kernel_does_not(error):
    """`exit()` in an answer is a refusal, and the event loop lives on."""

    async def answer(value):
        raise error

    assert (await outcome(answer)).state is State.REFUSED


async def test_a_task_left_behind_is_refused_and_ended():
    """What an answer starts, it must await."""
    started = []

    async def forever():
        await asyncio.Event().wait()

    async def answer(value):
        started.append(asyncio.create_task(forever()))
        return value

    assert "it works, but leaves 1 task running" in str(await outcome(answer))
    assert started[0].cancelled()


async def test_a_line_is_the_same_on_every_run():
    """Addresses and ports are left out."""

    async def answer(value):
        raise ValueError("<X at 0x7f00aa11>\n at 127.0.0.1:40123")

    assert "it raised ValueError: <X> at 127.0.0.1 ·" in str(await outcome(answer))


def plain(value):
    return value


async def other_name(number):
    return number


async def stream(value):
    yield value


class Thing:
    pass


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "`answer` is None: run the cell that defines it"),
        ("answer", "that is a text: write await check"),
        (7, "that is an int: write await check"),
        (plain, "must be a coroutine function: `async def`, and this is a plain function"),
        (Thing, "and this is a class"),
        (stream, "and this is an async generator"),
        (other_name, "`answer` takes (value), and yours takes (number)"),
    ],
)
async def test_the_wrong_kind_of_thing_is_named(answer, sentence):
    """What cannot be an answer gets one sentence, and is no attempt."""
    found = await outcome(answer)
    assert sentence in str(found)
    assert not found.attempt


async def test_a_coroutine_instead_of_its_function_is_named():
    """Brackets too many, and no warning about a coroutine that was never awaited."""
    found = await outcome(other_name(1))
    assert "without brackets after `answer`" in str(found)


async def test_a_built_in_without_a_signature_is_refused(demo):
    """Not every callable can be looked into."""
    found = await judge(catalogue.find("98.1"), max)
    assert found.state is State.REFUSED
