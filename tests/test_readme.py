"""The README shows what the project says of itself today."""

import base64
import re
from pathlib import Path

import nbformat
import pytest

from labkit.workbench import ledger
from labkit.workbench.exercises import prove

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKE = "copy it from the failure below, or see *The README* in CONTRIBUTING"


@pytest.mark.parametrize("name", ["ledger", "exercises"])
def test_a_generated_block_is_current(name):
    """What stands between the markers is what the command would print."""
    found = re.search(rf"<!-- {name} -->.*?<!-- /{name} -->", README, re.DOTALL)
    assert found, f"README.md has no block {name}"
    wanted = {"ledger": ledger.summary, "exercises": prove.summary}[name]()
    assert found[0] == wanted, MAKE


def test_the_picture_is_the_one_of_chapter_1():
    """The wire view at the top was drawn by the lesson, from what really crossed."""
    book = nbformat.read(ROOT / "notebooks/01_architecture.ipynb", 4)
    (cell,) = [each for each in book.cells if each.id == "blocked-picture"]
    drawn = re.search(r"base64,([^\"]+)", cell.outputs[0].data["text/html"])
    assert drawn
    picture = ROOT / "notebooks/images/wire.svg"
    assert picture.read_bytes() == base64.b64decode(drawn[1])
    assert f"({picture.relative_to(ROOT)})" in README


def test_every_chapter_that_is_there_is_linked():
    """The map of chapters follows the folder."""
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{notebook.name})" in README
