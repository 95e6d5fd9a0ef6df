"""Helpers for checks say what was given, what came back, and the likely cause."""

from __future__ import annotations

import pytest

from labkit.testing.outcomes import Disconnected, Rejected, Silence
from labkit.workbench.exercises import catalogue
from labkit.workbench.exercises.engine import Refused, expect, expect_equal, scene


def test_expect_names_what_was_given_and_what_came_back():
    """A refusal has three parts."""
    with pytest.raises(Refused, match="given two clients · got one answer · publish to all"):
        expect(False, given="two clients", got="one answer", because="publish to all")


def test_expect_is_silent_when_all_is_well():
    """No refusal without a reason."""
    expect(True, given="a", got="b", because="c")
    expect_equal([1], [1], given="a", because="c")


def test_expect_equal_names_both_values():
    """The learner sees the wanted value, too."""
    with pytest.raises(Refused, match=r"got \[1\], not \[1, 2\]"):
        expect_equal([1], [1, 2], given="a", because="c")


def test_a_long_value_is_cut():
    """One line stays one line."""
    with pytest.raises(Refused) as caught:
        expect(False, given="a", got="x" * 1000, because="c")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "error",
    [Silence("ada heard nothing for 1 s"), Disconnected("ada was closed"), Rejected(403, {}, b"")],
)
def test_a_scene_turns_what_happens_to_a_client_into_a_refusal(error):
    """Silence, disconnection and rejection are what came back."""
    with (
        pytest.raises(Refused, match=f"given nonsense · got {error} · answer it"),
        scene("nonsense", because="answer it"),
    ):
        raise error


def test_a_scene_lets_other_exceptions_pass():
    """A bug of the learner's code stays that bug."""
    with pytest.raises(KeyError), scene("nonsense", because="answer it"):
        raise KeyError("x")


def test_the_catalogue_lists_keys_in_order(demo):
    """Keys come from file names."""
    assert catalogue.keys(98) == ["98.1", "98.2"]
    assert catalogue.keys()[-2:] == ["98.1", "98.2"]


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("98.7", "there is no exercise 98.7: chapter 98 has 98.1, 98.2"),
        ("198.1", "did you mean 98.1?"),
        (98.1, 'write the number in quotes: "98.1"'),
    ],
)
def test_an_unknown_key_is_answered_with_those_there_are(demo, key, sentence):
    """A slip of the finger gets help."""
    with pytest.raises(catalogue.UnknownExerciseError) as caught:
        catalogue.find(key)
    assert sentence in str(caught.value)
