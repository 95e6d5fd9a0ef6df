"""A timeline tells order and endings, the same on every machine, in a picture and in text."""

import xml.etree.ElementTree as ET

import pytest

from labkit.workbench.timeline import Lane, Timeline


@pytest.fixture
def hang():
    """Return a process that had to be killed, and one client that was closed before."""
    lanes = (
        Lane("ada", 1, "closed 1012", clean=True),
        Lane("bob", 3, "broke <off>", clean=False),
    )
    return Timeline(("SIGTERM", "deadline", "SIGKILL"), lanes)


def test_the_text_puts_each_end_behind_its_mark(hang):
    """A lane that ended after one mark crosses one line, and so on."""
    assert str(hang).splitlines() == [
        "           SIGTERM     deadline    SIGKILL",
        "ada  ━━━━━━┿━━━━━● closed 1012",
        "bob  ━━━━━━┿━━━━━━━━━━━┿━━━━━━━━━━━┿━━━━━✗ broke <off>",
    ]


def test_a_clean_end_and_a_cut_differ_in_form_and_not_by_colour_alone(hang):
    """A disc and a cross."""
    svg = hang.svg()
    assert (svg.count('class="disc"'), svg.count('class="cross"')) == (1, 1)


def test_the_picture_is_well_formed_and_always_the_same(hang):
    """Words from outside cannot break it."""
    ET.fromstring(hang.svg())
    assert hang.svg() == Timeline(hang.marks, hang.lanes).svg()
    assert "broke &lt;off&gt;" in hang.svg()


def test_the_words_say_it_for_those_who_do_not_see_it(hang):
    """The image has an alternative text, and the text twin is folded below."""
    shown = hang._repr_mimebundle_()["text/html"]
    assert 'alt="ada ends after SIGTERM: closed 1012; bob ends after SIGKILL' in shown
    assert "<details>" in shown


def test_words_that_do_not_fit_are_cut_with_a_sign():
    """They never run out of the picture."""
    long = Timeline(("SIGTERM",), (Lane("ada", 1, "so " * 100, clean=True),))
    assert "…</text>" in long.svg()


def test_an_empty_timeline_is_drawn():
    """Nobody was there."""
    assert str(Timeline(("SIGTERM",), ())) == "        SIGTERM"
    ET.fromstring(Timeline((), ()).svg())
