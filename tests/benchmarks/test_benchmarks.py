"""Every benchmark runs, in miniature. How fast is not asked."""

from pathlib import Path

import pytest

from labkit.workbench.bench import Run, bench, found, load

FOLDER = Path(__file__).parent
NAMES = sorted(found(FOLDER))


@pytest.mark.parametrize("name", NAMES)
async def test_benchmark_runs(name):
    """With few clients and messages, each of which arrives."""
    lines = []
    run = Run(lines.append, small=True)
    await load(found(FOLDER)[name]).run(run)
    assert run.short == 0
    assert any("labkit" in line for line in lines)


def test_without_a_name_it_says_what_there_is(capsys):
    """One line each, and nothing runs."""
    lines = []
    assert bench(FOLDER, [], lines.append) == 0
    assert [line.split()[0] for line in lines] == NAMES


def test_an_unknown_name_is_refused():
    """With the names that there are."""
    lines = []
    assert bench(FOLDER, ["fanuot"], lines.append) == 2
    assert "fanuot" in lines[0]
    assert len(lines) == 1 + len(NAMES)
