"""Building a committed notebook changes nothing."""

from __future__ import annotations

from labkit.workbench.notebooks import build, cells


def test_building_changes_nothing(capsys):
    """What is committed is what a fresh kernel says, to the byte.

    The notebook has a drawing, which nbval does not compare. All else of every notebook it does
    compare, without a sanitiser, and the normal form of each is tested beside this.
    """
    (path,) = cells.FOLDER.glob("03_*.ipynb")
    assert build([path], check=True) == 0, capsys.readouterr().out
