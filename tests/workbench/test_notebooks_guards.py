"""Each guard over notebooks turns red for what it guards."""

from __future__ import annotations

import nbformat
import pytest

from labkit.workbench.notebooks import findings
from labkit.workbench.notebooks.normalise import normalised

PIXEL = "iVBORw0KGgo="


def clean():
    """Return an executed notebook that nothing is wrong with."""
    new = nbformat.v4
    picture = new.new_code_cell("plot()", id="plot")
    picture.outputs = [
        new.new_output("stream", name="stdout", text="the slow one stops, two go on\n"),
        new.new_output("display_data", {"image/png": PIXEL, "text/plain": "<Figure size 1x1>"}),
    ]
    close = new.new_code_cell("await lab.close()", id="close")
    last = "0 servers · 0 tasks · 0 sockets left"
    close.outputs = [new.new_output("execute_result", {"text/plain": last})]
    text = "# One\n\nHello.\n\n```\n# a comment, no heading\n```\n\n## Two\n\n![a door](door.png)"
    return normalised(
        new.new_notebook(cells=[new.new_markdown_cell(text, id="title"), picture, close])
    )


def output(book, text: str) -> None:
    book.cells[1].outputs[0].text = text


def test_a_clean_notebook_has_no_findings():
    """Nothing is found where nothing is wrong."""
    assert findings(clean()) == []


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:40123/ws",
        "localhost:8000",
        "/tmp/x/y.py",
        "in /home/ada/x",
        "<Lab object at 0x7f0011aa>",
        "<Task pending>",
        "2026-11-23T10:00",
        "at 10:20:30 sharp",
        "id 123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_differs_from_run_to_run_is_found(text):
    """Ports, paths, addresses, times, random ids."""
    book = clean()
    output(book, text)
    assert "differs from run to run" in "".join(findings(book))


@pytest.mark.parametrize("text", ["3/tmp", "ratio 1:20", "close 1013", "GET /home", "2026-11-23"])
def test_what_only_looks_like_it_is_left_alone(text):
    """A guard that cries wolf is switched off."""
    book = clean()
    output(book, text)
    assert findings(book) == []


def change(path: str, value):
    def apply(book):
        target, name = book.cells[1], path
        if "." in path:
            index, name = path.split(".")
            target = book.cells[int(index)]
        setattr(target, name, value)

    return apply


def without_words(book):
    del book.cells[1].outputs[0]


def html_picture(book):
    book.cells[1].outputs[1].data = {"text/html": "<img src='data:'>", "text/plain": "a text twin"}


def widget(book):
    book.cells[1].outputs[1].data["application/vnd.jupyter.widget-view+json"] = {"model_id": "1"}


def stderr(book):
    book.cells[1].outputs[0].name = "stderr"


def error(book):
    book.cells[1].outputs[0] = nbformat.v4.new_output("error", ename="KeyError", evalue="x")


def last_line(book):
    book.cells[2].outputs[0].data["text/plain"] = "1 servers · 0 tasks · 0 sockets left"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change("execution_count", 7), "cell plot: execution count 7, not 1"),
        (change("execution_count", None), "cell plot: execution count None, not 1"),
        (change("source", "a\n" * 21), "cell plot: 21 lines of code"),
        (change("0.source", "# One\n" + "word " * 120), "cell title: 122 words"),
        (change("0.source", "# One\n![](door.png)"), "cell title: a picture without alt text"),
        (change("0.source", '# One\n<img src="a.png">'), "cell title: a picture without alt text"),
        (change("0.source", "# One\n# Two"), "2 headings of the first level"),
        (change("0.source", "## Two\n# One"), "one is needed, at the top"),
        (change("0.source", "no heading"), "0 headings of the first level"),
        (change("0.source", "# One\n### Three"), "a heading of level 3 follows one of level 1"),
        (change("2.source", "lab"), "the last code cell must be `await lab.close()`"),
        (last_line, "the last output must be '0 servers"),
        (without_words, "a picture without a text beside it"),
        (html_picture, "a picture without alt text in the output"),
        (widget, "a widget is stored"),
        (stderr, "the output has lines of stderr"),
        (error, "an error is stored: KeyError"),
    ],
)
def test_damage_is_found_and_named(damage, words):
    """The sentence names the cell."""
    book = clean()
    damage(book)
    assert words in "\n".join(findings(book))


def test_an_empty_notebook_is_no_chapter():
    """It has no heading and no last cell."""
    assert len(findings(nbformat.v4.new_notebook())) == 2
