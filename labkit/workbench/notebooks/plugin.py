"""A pytest plugin for nbval: still displays, a quick start, and skips that are said aloud.

Use it with `-p labkit.workbench.notebooks.plugin`, early enough to be imported before nbval.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from labkit.workbench.notebooks.execute import missing

if TYPE_CHECKING:
    from collections.abc import Iterable


def pytest_configure(config: pytest.Config) -> None:
    """Make the kernels of nbval show still pictures and keep progress in memory."""
    if config.getoption("nbval", default=False):
        os.environ["LABKIT_CI"] = "1"


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Skip the cells whose program this machine lacks."""
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and (program := missing(cell)):
            item.add_marker(pytest.mark.skip(reason=f"cell {cell.id}: {program} is not installed"))
