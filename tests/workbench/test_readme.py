"""The README shows what the project says of itself today."""

from pathlib import Path

import pytest

from labkit.workbench import readme

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STALE = "run `labkit readme`"


def test_the_generated_blocks_are_current():
    """Ledger and exercises are as the commands would print them."""
    assert readme.rendered(README) == README, STALE


def test_the_picture_is_the_one_of_chapter_1():
    """The wire view at the top was drawn by the lesson, from what really crossed."""
    assert (ROOT / readme.PICTURE).read_bytes() == readme.picture(), STALE
    assert f"({readme.PICTURE})" in README


def test_every_chapter_that_is_there_is_linked():
    """The map of chapters follows the folder."""
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{notebook.name})" in README


def test_a_readme_without_markers_is_refused():
    """The missing block is named."""
    with pytest.raises(ValueError, match="no block <!-- ledger -->"):
        readme.rendered("# nothing")
