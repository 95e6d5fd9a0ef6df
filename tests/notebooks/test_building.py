"""Building the committed notebooks changes nothing."""

from __future__ import annotations

import pytest

from labkit.workbench.notebooks import build, cells

NOTEBOOKS = cells.find()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
@pytest.mark.timeout(300)
def test_building_changes_nothing(path, capsys):
    """What is committed is what a fresh kernel says, to the byte."""
    assert build([path], check=True) == 0, capsys.readouterr().out
