"""Chapter 1 as a learner lives it: run all, see the wire, answer an exercise."""

import shutil
from pathlib import Path

import pytest

from labkit.workbench.exercises import catalogue
from tests.browser.notebook import errors, words

pytestmark = pytest.mark.timeout(240)

CHAPTER = Path(__file__).parents[2] / "notebooks/01_architecture.ipynb"
PICTURE = "img[src^='data:image/svg+xml']"

WATCH = """selector => {
    window.seen = new Set();
    const look = () => document.querySelectorAll(selector).forEach(each => seen.add(each.alt));
    const changes = {subtree: true, childList: true, attributes: true};
    new MutationObserver(look).observe(document.body, changes);
}"""
"""Notes what each picture says, from now on: a page misses no change, a test that asks may."""


@pytest.fixture
def copy(jupyterlab):
    """A working copy of the chapter, as fresh as on the first day."""
    shutil.copy(CHAPTER, jupyterlab.root / CHAPTER.name)
    jupyterlab.progress.unlink(missing_ok=True)
    return CHAPTER.name


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
async def test_run_all_numbers_every_cell_and_shows_the_wire(
    chromium, jupyterlab, copy, shots, theme
):
    """Run All ends without an error, every code cell has its number, the pictures are seen."""
    async with jupyterlab.open(chromium, copy, theme=theme) as notebook:
        await notebook.clear()
        await notebook.run_all()
        cells = [cell for cell in await notebook.finished(timeout_s=120) if cell["type"] == "code"]
        assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert errors(cells) == []
        assert "0 servers" in words(cells[-1])
        pictures = notebook.page.locator(PICTURE)
        assert await pictures.count() >= 1
        for number in range(await pictures.count()):
            picture = pictures.nth(number)
            await picture.scroll_into_view_if_needed()
            assert await picture.evaluate("image => image.naturalWidth") == 700
            await shots(notebook.page, f"chapter_01_{theme.split()[-1].lower()}_{number}")


async def test_the_wire_of_the_first_scene_moves(chromium, jupyterlab, copy):
    """The picture of three healthy clients changes while its cell runs."""
    async with jupyterlab.open(chromium, copy) as notebook:
        await notebook.clear()
        for name in ("setup", "naive-manager", "naive-broadcast", "naive-endpoint"):
            assert errors([await notebook.run(name)]) == []
        await notebook.page.evaluate(WATCH, PICTURE)
        cell = await notebook.run("naive-runs")
        assert errors([cell]) == []
        assert len(await notebook.page.evaluate("[...window.seen]")) >= 2
        assert "ada 2 in order" in words(cell)


async def test_exercise_is_answered_in_its_cell(chromium, jupyterlab, copy, shots):
    """The solution, typed over the stub, turns the line into a tick and moves the strip."""
    solution = catalogue.find("1.1").solution_text
    async with jupyterlab.open(chromium, copy) as notebook:
        await notebook.clear()
        assert errors([await notebook.run("setup")]) == []
        assert "0 of 5" in words(await notebook.run("progress-start"))
        await notebook.run("exercise-1-1")
        assert "not done yet" in words(await notebook.run("check-1-1"))
        await notebook.rewrite("exercise-1-1", solution)
        checked = await notebook.run("check-1-1")
        assert words(checked).startswith("✓ 1.1")
        await shots(notebook.page, "exercise_1_1")
        assert "1 of 5" in words(await notebook.run("progress-start"))
        strip = notebook.page.get_by_role("group", name="chapter 1: 1 of 5 exercises done")
        await strip.first.scroll_into_view_if_needed()
        await shots(notebook.page, "progress")
        assert "0 servers" in words(await notebook.run("close"))
