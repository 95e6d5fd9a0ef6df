"""The ledger says what the notebooks show, or turns red."""

from __future__ import annotations

import re

import nbformat
import pytest

from labkit.workbench import ledger
from labkit.workbench.ledger import LedgerError, LedgerMismatch, audit, evidence, fact, verdict
from labkit.workbench.ledger.table import END, START

ROWS = """
chapters = [1]

[[part]]
id = "1.1"
kind = "pattern"
chapter = 1
title = "Connection manager"

[[part]]
id = "2.1"
kind = "pattern"
chapter = 2
title = "Endpoint"

[[part]]
id = "C15"
kind = "checklist"
chapter = 2
title = "Resources cleaned up"

[[claim]]
id = "1.1-a"
claim = "Centralized"
verdict = "holds"
cell = "verdict-a"
test = "tests/test_room.py::test_room"

[[claim]]
id = "1.1-b"
claim = "Automatic cleanup"
verdict = "fails"
cure = "a backlog per connection"
cell = "verdict-b"
test = "tests/test_room.py::TestRoom::test_cleanup[one]"

[[claim]]
id = "1.1-c"
claim = "Redis stream"
verdict = "holds if"
only_if = "there is one visitor"
cell = "verdict-c"
test = "tests/test_room.py::test_room"

[[claim]]
id = "1.F1"
kind = "fact"
claim = "a stalled send blocks"
verdict = "holds"
test = "tests/test_room.py::test_room"

[[claim]]
id = "C15-a"
claim = "Resource cleanup"
verdict = "holds"
"""

LINES = {
    "1.1-a": '1.1-a "Centralized" · holds as written',
    "1.1-b": '1.1-b "Automatic cleanup" · fails as written · holds with a backlog per connection',
    "1.1-c": '1.1-c "Redis stream" · holds only if there is one visitor',
    "1.F1": "1.F1 a stalled send blocks · still so",
}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Use a small ledger instead of the shipped one."""
    small = read(tmp_path, ROWS)
    monkeypatch.setattr(evidence, "_ledger", lambda: small)
    return small


def read(folder, text):
    path = folder / "ledger.toml"
    path.write_text(text)
    return ledger.read(path)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("1.1-a", {"guide": True}),
        ("1.1-b", {"guide": False, "rebuilt": True}),
        ("1.1-c", {"guide": False, "only_if": True}),
    ],
)
def test_evidence_that_agrees_gives_the_line_of_the_row(book, key, found):
    """The line is shown as it is, without quotes."""
    line = verdict(key, **found)
    assert line == LINES[key]
    assert repr(line) == LINES[key]


@pytest.mark.parametrize(
    ("key", "found", "words"),
    [
        ("1.1-a", {"guide": False}, "now 'fails', the ledger says 'holds'"),
        ("1.1-b", {"guide": True, "rebuilt": True}, "now 'holds', the ledger says 'fails'"),
        ("1.1-b", {"guide": False, "rebuilt": False}, "the rebuilt version no longer holds"),
        ("1.1-b", {"guide": False}, "a cure needs `rebuilt=` as evidence"),
        ("1.1-a", {"guide": True, "rebuilt": True}, "and evidence a cure in the row"),
        ("1.1-c", {"guide": False}, "now 'fails', the ledger says 'holds if'"),
        ("1.1-c", {"guide": True, "only_if": True}, "now 'holds', the ledger says 'holds if'"),
        ("1.1-z", {"guide": True}, "the ledger has no claim '1.1-z'"),
        ("1.F1", {"guide": True}, "the ledger has no claim '1.F1'"),
    ],
)
def test_evidence_that_disagrees_turns_the_cell_red(book, key, found, words):
    """The message names what is now different."""
    with pytest.raises(LedgerMismatch, match=re.escape(words)):
        verdict(key, **found)


def test_a_mismatch_names_the_sentence_that_is_now_wrong(book):
    """Chapter, claim, pattern, sentence and cell."""
    with pytest.raises(LedgerMismatch) as caught:
        verdict("1.1-a", guide=False)
    for part in ("chapter 1", "1.1-a", "Connection manager", '"Centralized"', "cell verdict-a"):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", [[1], 1, "yes"])
def test_evidence_must_be_plain(book, value):
    """A list that happens to be true is no evidence."""
    with pytest.raises(TypeError, match="guide= must be True or False, not"):
        verdict("1.1-a", guide=value)


def test_a_fact_is_observed_or_turns_the_cell_red(book):
    """Facts about libraries age, too."""
    assert fact("1.F1", observed=True) == LINES["1.F1"]
    with pytest.raises(LedgerMismatch, match="no longer so"):
        fact("1.F1", observed=False)
    with pytest.raises(LedgerMismatch, match=r"no fact '1\.1-a'"):
        fact("1.1-a", observed=True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('verdict = "fails"', 'verdict = "maybe"', "claim '1.1-b': verdict must be one of"),
        ('only_if = "there is one visitor"', "", "claim '1.1-c': only_if belongs to \"holds if\""),
        ('id = "1.1-c"', 'id = "9.9-c"', "claim '9.9-c': its part is not in the ledger"),
        ('id = "1.1-c"', 'id = "1.1-b"', "row '1.1-b' is there twice"),
        ('id = "1.F1"', 'id = "F1"', "a fact is called after its chapter"),
        ('kind = "fact"', 'kind = "rumour"', "kind must be"),
        ("cure =", "remedy =", "row '1.1-b'"),
        ("chapters = [1]", "chapters = [", "is not TOML"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named(tmp_path, old, new, words):
    """One sentence, with the row."""
    assert old in ROWS
    with pytest.raises(LedgerError, match=re.escape(words)):
        read(tmp_path, ROWS.replace(old, new))


@pytest.fixture
def tree(tmp_path):
    """Write a notebook and a test file that agree with the small ledger."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_room.py").write_text(
        "async def test_room(): ...\nclass TestRoom:\n    def test_cleanup(self): ...\n"
    )
    write(tmp_path)
    return tmp_path


def write(tree, *, leave_out="", wrong_output="", extra="") -> None:
    """Write the notebook, with one flaw if asked for."""
    cells = []
    for key, line in LINES.items():
        if key not in {leave_out, "1.F1"}:
            cell = nbformat.v4.new_code_cell(
                f'verdict("{key}", guide=seen)', id=f"verdict-{key[-1]}"
            )
            shown = "something else" if key == wrong_output else line
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": shown})]
            cells.append(cell)
    if extra:
        cells.append(nbformat.v4.new_code_cell(extra, id="extra"))
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells), tree / "notebooks" / "01_architecture.ipynb"
    )


def gaps(book, tree) -> str:
    audit._tests.cache_clear()
    return "\n".join(audit.gaps(book, tree / "notebooks", tree))


def test_a_tree_that_agrees_has_no_gaps(book, tree):
    """Claims, cells, tests and lines fit."""
    assert gaps(book, tree) == ""


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        (
            {"leave_out": "1.1-b"},
            '1.1-b has no cell: 01_architecture.ipynb never calls verdict("1.1-b")',
        ),
        ({"wrong_output": "1.1-b"}, "cell verdict-b: the stored output is not '1.1-b"),
        ({"extra": 'verdict("1.7-a", guide=True)'}, "cell extra: the ledger has no claim 1.7-a"),
        ({"extra": 'fact("1.F7", observed=True)'}, "cell extra: the ledger has no fact 1.F7"),
        ({"extra": 'verdict("1.1-a", guide=True)'}, "1.1-a is shown twice, in verdict-a and extra"),
        ({"extra": 'fact("1.F1", True)'}, "1.F1 is shown in 01_architecture.ipynb, cell extra"),
    ],
)
def test_a_notebook_that_disagrees_is_a_gap(book, tree, flaw, words):
    """Each kind of disagreement is named."""
    write(tree, **flaw)
    assert words in gaps(book, tree)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("::test_room", "::test_attic", "1.1-a: there is no test tests/test_room.py::test_attic"),
        ('test = "tests/test_room.py::test_room"', "", "1.1-a has no test"),
        ("test_room.py", "test_cellar.py", "there is no test tests/test_cellar.py"),
        ("chapters = [1]", "chapters = [1, 2]", "chapter 2 has no notebook"),
        ("chapters = [1]", "chapters = []", "01_architecture.ipynb is not in `chapters`"),
        ('cell = "verdict-a"', 'cell = "attic"', "cell verdict-a: the row says 'attic'"),
        (
            'id = "2.1"\nkind = "pattern"\nchapter = 2',
            'id = "2.1"\nkind = "pattern"\nchapter = 1',
            "pattern 2.1 Endpoint has no claim",
        ),
    ],
)
def test_a_ledger_that_disagrees_is_a_gap(tree, old, new, words):
    """Each kind of disagreement is named."""
    assert old in ROWS
    assert words in gaps(read(tree, ROWS.replace(old, new)), tree)


def test_main_prints_a_line_for_each_claim_and_the_total(tree, capsys):
    """The exit status tells about gaps."""
    read(tree, ROWS)
    arguments = (tree / "ledger.toml", tree / "notebooks", tree)
    assert audit.main(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{LINES['1.1-b']} · cell verdict-b"
    assert lines[-1] == "1 of 2 patterns · 0 of 1 checklist items, 0 gaps"
    write(tree, leave_out="1.1-a")
    assert audit.main(*arguments) == 1


def test_main_says_when_no_chapter_is_written(tmp_path, capsys):
    """An empty house is no error."""
    read(tmp_path, "chapters = []")
    assert audit.main(tmp_path / "ledger.toml", tmp_path, tmp_path) == 0
    assert "no chapter is written yet" in capsys.readouterr().out


def test_the_summary_counts_claims_by_verdict(book):
    """One line for each pattern of the written chapters."""
    lines = ledger.summary(book).splitlines()
    assert (lines[0], lines[-1]) == (START, END)
    assert "1 of 2 patterns" in lines[1]
    assert lines[-2] == "| 1.1 Connection manager | 1 | 1 | 1 |"


def test_the_summary_has_a_table_for_each_other_kind_that_is_answered(tmp_path):
    """With the verdict of each row, once its chapter is written."""
    whole = read(tmp_path, ROWS.replace("chapters = [1]", "chapters = [1, 2]"))
    lines = ledger.summary(whole).splitlines()
    assert lines[1].startswith("1 of 2 patterns · 1 of 1 checklist items.")
    assert lines[-4:-1] == [
        "| Checklist item of the guide | as written | holds with |",
        "|---|---|---|",
        "| Resource cleanup | holds |  |",
    ]


def test_the_overview_and_the_answers_show_the_shipped_ledger():
    """One row for each pattern, and one for each answered claim of another kind."""
    assert len(ledger.overview().rows) == 39
    assert ledger.answers("takeaway").headers == (
        "part", "the guide says", "as written", "holds with"
    )  # fmt: skip
    with pytest.raises(ValueError, match="checklist, takeaway, choice"):
        ledger.answers("pattern")


def test_the_shipped_ledger_is_sound():
    """39 patterns, 15 checklist items, 8 takeaways, 10 reasons to choose; every row is valid."""
    book = ledger.read()
    kinds = [part.kind for part in book.parts.values()]
    counts = {kind: kinds.count(kind) for kind in ("pattern", "checklist", "takeaway", "choice")}
    assert counts == {"pattern": 39, "checklist": 15, "takeaway": 8, "choice": 10}


def test_the_written_chapters_have_no_gaps():
    """Every claim of a written chapter has its cell, its test, and the line it promises."""
    assert audit.gaps(ledger.read()) == []
