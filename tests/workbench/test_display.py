"""Tables and expected failures read well and never change."""

import pytest

from labkit.workbench.display import expect, table


def test_table_is_aligned():
    """Columns are as wide as their widest cell."""
    shown = table([(1000, "finished"), (1013, "too slow")], ("code", "meaning"))
    assert str(shown) == "code  meaning\n────  ────────\n1000  finished\n1013  too slow"


def test_table_is_escaped_in_html():
    """A cell is text, whatever is in it."""
    html = table([("<b>",)], ("a",))._repr_mimebundle_()["text/html"]
    assert "&lt;b&gt;" in html
    assert '<th scope="col"' in html


def test_row_of_the_wrong_length_is_refused():
    """The message names the row and both counts."""
    with pytest.raises(ValueError, match="row 2 has 1 cells, the table 2 headers"):
        table([(1, 2), (1,)], ("a", "b"))


def test_dollars_are_no_mathematics():
    """A directive of nginx has two of them. JupyterLab's MathJax leaves this class alone."""
    html = table([("$a; $b",)], ("a",))._repr_mimebundle_()["text/html"]
    assert '<table class="mathjax_ignore' in html


def test_empty_table_shows_its_headers():
    """No row is a table too."""
    assert str(table([], ("a", "bc"))) == "a  bc\n─  ──"


def test_expected_failure_is_one_line(capsys):
    """The failure is an output, and only its first line."""
    with expect(ValueError, KeyError):
        raise ValueError("first\nsecond")
    assert capsys.readouterr().out == "expected: ValueError: first\n"


def test_expected_failure_without_words(capsys):
    """An exception without a message is just its name."""
    with expect(TimeoutError):
        raise TimeoutError
    assert capsys.readouterr().out == "expected: TimeoutError\n"


def test_missing_failure_fails():
    """A lesson that no longer fails must not pass."""
    with (
        pytest.raises(AssertionError, match="expected ValueError, and nothing was raised"),
        expect(ValueError),
    ):
        pass


def test_other_failures_are_not_expected():
    """Only the named failure is caught."""
    with pytest.raises(KeyError), expect(ValueError):
        raise KeyError("x")
