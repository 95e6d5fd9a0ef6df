"""Notebooks have one form."""

from __future__ import annotations

import json

import nbformat
import pytest

from labkit.workbench.notebooks.normalise import dumps, normalised


def test_what_a_machine_adds_is_left_out(tiny):
    """No times, no versions, no editor's state."""
    book = tiny(one="1 + 1")
    book.metadata = {"kernelspec": {"name": "mine"}, "language_info": {"version": "3.11.7"}}
    book.cells[0].metadata = {
        "execution": {"iopub.execute_input": "2026-01-01"},
        "collapsed": True,
        "tags": ["b", "a", "b"],
        "labkit": {"minutes": 3},
    }
    clean = normalised(book)
    assert clean.metadata.kernelspec.name == "python3"
    assert clean.metadata.language_info == {"name": "python"}
    assert clean.cells[0].metadata == {"tags": ["a", "b"], "labkit": {"minutes": 3}}


def test_the_original_is_left_alone(tiny):
    """A copy is returned."""
    book = tiny(one="1 + 1\n\n")
    normalised(book)
    assert book.cells[0].source == "1 + 1\n\n"


def test_cells_are_numbered_from_one(tiny):
    """Empty code cells do not count, and results carry the number of their cell."""
    book = tiny(one="1", empty=" ", two="2")
    book.cells[2].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    clean = normalised(book)
    assert [cell.execution_count for cell in clean.cells] == [1, None, 2]
    assert clean.cells[2].outputs[0].execution_count == 2


def test_pieces_of_one_stream_become_one(tiny):
    """How the kernel cut its output is chance; streams of two names stay apart."""
    book = tiny(one="1")
    book.cells[0].outputs = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c")]
    ]
    outputs = normalised(book).cells[0].outputs
    assert [(output.name, output.text) for output in outputs] == [("stdout", "ab"), ("stderr", "c")]


@pytest.mark.parametrize(
    "name",
    ["deadbeef", "c0ffee12-1234-4321-8765-123456789abc", "Title", "two--dashes", "1st", "a_b"],
)
def test_an_id_that_is_no_slug_is_named(name, tiny):
    """Editors invent ids; authors choose them."""
    with pytest.raises(ValueError, match=f"cell 0: id '{name}' is no slug"):
        normalised(tiny(**{name: "1"}))


def test_an_id_that_is_there_twice_is_named(tiny):
    """A copied cell needs a new name."""
    book = tiny(one="1", two="2")
    book.cells[1].id = "one"
    with pytest.raises(ValueError, match="cell 1: id 'one' is there twice"):
        normalised(book)


def test_the_file_is_sorted_utf8_and_ends_with_a_newline(tiny):
    """The text is the same on every machine."""
    text = dumps(normalised(tiny(one="'✓ ada'")))
    assert text.endswith("}\n")
    assert "✓ ada" in text
    assert text == dumps(normalised(nbformat.reads(text, as_version=4)))
    keys = list(json.loads(text))
    assert keys == sorted(keys)
