"""No stored output of the chapter holds a token: a notebook is a log that everybody gets."""

from labkit.workbench.notebooks import cells
from labkit.workbench.secrets import JWT, tokens_in


def test_no_output_of_any_notebook_holds_a_token():
    """Every cell of every chapter is searched."""
    for path in cells.find():
        assert tokens_in(cells.read(path)) == [], path.name


def test_no_source_of_the_chapter_holds_a_token():
    """Tokens are made when they are needed, with a key that is made when the notebook starts."""
    (path,) = [each for each in cells.find() if each.name.startswith("05_")]
    assert not JWT.search("\n".join(cell.source for cell in cells.read(path).cells))
