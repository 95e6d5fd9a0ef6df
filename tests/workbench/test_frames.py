"""Frames say in words what they are."""

import pytest

from labkit.workbench.frames import End, Frame, cells, shorten, visible


def test_visible_puts_control_characters_in_sight():
    """A line break, a NUL and a right-to-left override cannot hide in a label."""
    assert visible("a\nb\x00c\u202ed") == "a⏎b␀c\N{REPLACEMENT CHARACTER}d"


def test_visible_leaves_ordinary_text_alone():
    """Letters of any script are shown as they are."""
    assert visible("é 日本 {}") == "é 日本 {}"


def test_cells_counts_wide_characters_twice():
    """A Japanese character takes two columns."""
    assert cells("a日") == 3


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("日本日本", 5, "日本…"),
        ("ab cd", 4, "ab…"),
    ],
)
def test_shorten_never_exceeds_the_columns(text, columns, short):
    """Text that does not fit ends in an ellipsis inside the limit."""
    assert shorten(text, columns) == short
    assert cells(short) <= columns


def test_label_of_a_message_is_its_text():
    """A message speaks for itself, everything else names its kind."""
    assert Frame("ada", "server", "text", "hello").label == "hello"
    assert Frame("server", "ada", "close", '1013 "too slow"').label == 'close 1013 "too slow"'


@pytest.mark.parametrize(
    ("size", "weight"),
    [(0, ""), (1024, ""), (65536, " · 64 KiB"), (3 * 1024 * 1024, " · 3.0 MiB")],
)
def test_weight_is_said_only_when_it_is_large(size, weight):
    """Small messages carry no size."""
    assert Frame("ada", "server", "text", "x", size).weight == weight


def test_remark_names_what_is_unfinished():
    """Only a send that waits or failed earns a remark; a lost connection says it itself."""
    assert not Frame("server", "eve", "text").remark
    assert "still waits" in Frame("server", "eve", "text", end=End.WAITING).remark
    assert "failed" in Frame("server", "eve", "text", end=End.CUT).remark
    assert not Frame("eve", "server", "lost", end=End.CUT).remark
