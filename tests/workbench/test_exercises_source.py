"""The stub and the solution come from one definition."""

from __future__ import annotations

import functools

import pytest

from labkit.workbench.exercises import source

SOLUTION = """\
def put(backlog, limit):
    \"\"\"Say it.\"\"\"
    # hole: make room
    if len(backlog) >= limit:
        backlog.popleft()
    # end
    return backlog"""

STUB = """\
def put(backlog, limit):
    \"\"\"Say it.\"\"\"
    ...  # TODO 1.2: make room
    return backlog"""


def made(text: str, name: str = "put"):
    return source.compiled(text, name, f"<{hash(text)}>", {})


def test_a_hole_becomes_one_line_to_be_done():
    """The stub keeps everything but the marked lines."""
    assert source.with_holes(SOLUTION, "1.2") == STUB


def test_the_solution_is_shown_without_marks():
    """Marks are for the authors."""
    shown = source.without_marks(SOLUTION)
    assert "# hole" not in shown
    assert "# end" not in shown
    assert "popleft" in shown


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return 1",
        "def f():\n    # hole: a\n    return 1",
        "def f():\n    # end\n    return 1",
        "def f():\n    # hole: a\n    # hole: b\n    return 1\n    # end",
    ],
    ids=["no hole", "no end", "no beginning", "nested"],
)
def test_marks_that_do_not_pair_are_named(text):
    """A forgotten mark is one sentence with the exercise's key."""
    with pytest.raises(ValueError, match=r"exercise 1\.2: .*hole"):
        source.with_holes(text, "1.2")


def test_decorators_are_no_part_of_the_definition():
    """What the learner sees begins with `def`."""

    @functools.cache
    def decorated():
        return 1

    assert source.definition(decorated).startswith("def decorated():")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STUB, True),
        (SOLUTION, False),
        ("def put():\n    raise NotImplementedError('1.2')", True),
        ("def put():\n    raise NotImplementedError", True),
        ("async def put():\n    async def inner():\n        ...\n    await inner()", True),
        ("def put(a=...):\n    return a", False),
        ("class put:\n    def m(self):\n        ...", True),
        ("class put:\n    def m(self):\n        return 1", False),
    ],
)
def test_holes_are_found_wherever_they_are(text, expected):
    """A bare `...` or a NotImplementedError anywhere in a function or class is a hole."""
    assert source.has_holes(made(text)) is expected


def test_a_cell_with_top_level_await_can_be_read():
    """A notebook cell may await beside the definition."""
    text = "await_me = 1\nasync def put():\n    ..."
    cell = text + "\nawait put()"
    put = made(text)
    source.linecache.cache[put.__code__.co_filename] = (1, None, cell.splitlines(True), "")
    assert source.has_holes(put)


def test_a_thing_without_source_has_no_holes():
    """Built-ins have no source that could be looked at."""
    assert source.has_holes(len) is False
    assert source.filename_of(len) is None


def test_a_return_with_a_value_is_seen():
    """`return x` counts, a bare `return` does not."""
    assert source.returns(made("def put():\n    return 1"))
    assert not source.returns(made("def put():\n    return"))
