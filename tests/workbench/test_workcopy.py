"""The learner's working copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit.workbench import workcopy
from labkit.workbench.workcopy import PROGRESS, RECORD, WorkCopy, WorkcopyError

NAMES = ["01_architecture.ipynb", "02_websocket.ipynb", "03_sse.ipynb"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a clone with three notebooks, and stand in it."""
    (tmp_path / "labkit" / "workbench").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    for name in NAMES:
        (tmp_path / "notebooks" / name).write_text(f"{name} v1")
    monkeypatch.setattr(workcopy, "PACKAGE", tmp_path / "labkit")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Read all notebooks of a folder."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.ipynb"))}


def test_first_start_copies_every_notebook(clone: Path):
    """The working copy is byte for byte the clone's notebooks."""
    assert WorkCopy(clone).sync() == []
    assert contents(clone / "workbook") == contents(clone / "notebooks")


def test_pictures_come_along_and_hidden_files_do_not(clone: Path):
    """What a notebook shows is copied; checkpoints are not."""
    for name in ("images/house.svg", ".ipynb_checkpoints/01.ipynb"):
        (clone / "notebooks" / name).parent.mkdir()
        (clone / "notebooks" / name).touch()
    WorkCopy(clone).sync()
    assert (clone / "workbook/images/house.svg").exists()
    assert not (clone / "workbook/.ipynb_checkpoints").exists()


def test_edited_notebook_is_never_touched(clone: Path):
    """A start leaves an edited notebook alone, and says nothing while nothing is newer."""
    copy = WorkCopy(clone)
    copy.sync()
    copy.notebook(2).write_text("mine")
    assert copy.sync() == []
    assert copy.notebook(2).read_text() == "mine"


def test_newer_original_replaces_an_untouched_copy(clone: Path):
    """After an update of the clone, untouched notebooks follow."""
    copy = WorkCopy(clone)
    copy.sync()
    (clone / "notebooks" / NAMES[0]).write_text("v2")
    assert copy.sync() == []
    assert copy.notebook(1).read_text() == "v2"


def test_newer_original_leaves_an_edited_copy_and_says_so(clone: Path):
    """One line names the notebook and the command that takes the newer one."""
    copy = WorkCopy(clone)
    copy.sync()
    copy.notebook(1).write_text("mine")
    (clone / "notebooks" / NAMES[0]).write_text("v2")
    (line,) = copy.sync()
    assert NAMES[0] in line
    assert "labkit reset 01" in line
    assert copy.notebook(1).read_text() == "mine"
    assert copy.sync() == [line]


@pytest.mark.parametrize("record", ["", "[1, 2]", "{broken", '{"01_architecture.ipynb": []}'])
def test_damaged_record_loses_nothing(clone: Path, record: str):
    """Without a record, what differs counts as edited."""
    copy = WorkCopy(clone)
    copy.sync()
    copy.notebook(1).write_text("mine")
    (clone / "workbook" / RECORD).write_text(record)
    assert len(copy.sync()) == 1
    assert copy.notebook(1).read_text() == "mine"
    (clone / "notebooks" / NAMES[1]).write_text("v2")
    copy.sync()
    assert copy.notebook(2).read_text() == "v2"


def test_reset_brings_one_chapter_back_and_keeps_the_old_one(clone: Path):
    """The old notebook lies in the attic; the other chapters stay as they are."""
    copy = WorkCopy(clone)
    copy.sync()
    for chapter in (1, 3):
        copy.notebook(chapter).write_text("mine")
    attic = copy.reset([3])
    assert attic is not None
    assert (attic / NAMES[2]).read_text() == "mine"
    assert copy.notebook(3).read_bytes() == (clone / "notebooks" / NAMES[2]).read_bytes()
    assert copy.notebook(1).read_text() == "mine"


def test_reset_of_a_chapter_forgets_its_exercises_alone(clone: Path):
    """Progress of the chapter starts anew; the old progress lies in the attic, too."""
    copy = WorkCopy(clone)
    copy.sync()
    progress = clone / "workbook" / PROGRESS
    progress.write_text('{"1.1": {"passed": true}, "10.1": {"passed": true}, "3.1": {}}')
    attic = copy.reset([1])
    assert attic is not None
    assert set(json.loads(progress.read_text())) == {"10.1", "3.1"}
    assert "1.1" in (attic / PROGRESS).read_text()


def test_damaged_progress_does_not_stop_a_reset(clone: Path):
    """A file that cannot be read is left as it is."""
    copy = WorkCopy(clone)
    copy.sync()
    (clone / "workbook" / PROGRESS).write_text("{broken")
    copy.reset([1])
    assert (clone / "workbook" / PROGRESS).read_text() == "{broken"


def test_reset_of_all_chapters_loses_nothing(clone: Path):
    """Two resets in a row keep both old states, progress included."""
    copy = WorkCopy(clone)
    copy.sync()
    (clone / "workbook" / PROGRESS).write_text("{}")
    copy.notebook(1).write_text("first")
    one = copy.reset()
    copy.notebook(1).write_text("second")
    two = copy.reset()
    assert one is not None
    assert two is not None
    assert one != two
    assert [(attic / NAMES[0]).read_text() for attic in (one, two)] == ["first", "second"]
    assert (one / PROGRESS).exists()
    assert contents(clone / "workbook") == contents(clone / "notebooks")


def test_reset_before_the_first_start_makes_the_copy(clone: Path):
    """With nothing to move, there is no attic."""
    assert WorkCopy(clone).reset() is None
    assert contents(clone / "workbook") == contents(clone / "notebooks")


def test_chapter_that_is_not_there_moves_nothing(clone: Path):
    """The sentence lists the chapters there are."""
    copy = WorkCopy(clone)
    copy.sync()
    with pytest.raises(WorkcopyError, match="no chapter 07: choose one of 01, 02, 03"):
        copy.reset([1, 7])
    assert not (clone / "workbook" / workcopy.ATTIC).exists()


def test_progress_lies_in_the_working_copy_from_every_folder(clone: Path, monkeypatch):
    """A notebook opened elsewhere finds the same file."""
    monkeypatch.delenv("LABKIT_PROGRESS", raising=False)
    monkeypatch.chdir("/")
    assert workcopy.progress_path() == clone / "workbook" / PROGRESS


def test_progress_goes_where_it_is_told(clone: Path, monkeypatch):
    """LABKIT_PROGRESS decides."""
    monkeypatch.setenv("LABKIT_PROGRESS", "/elsewhere/file.json")
    assert workcopy.progress_path() == Path("/elsewhere/file.json")


def test_progress_without_a_clone_lies_in_the_current_folder(tmp_path: Path, monkeypatch):
    """An installed labkit without notebooks still keeps progress."""
    monkeypatch.delenv("LABKIT_PROGRESS", raising=False)
    monkeypatch.setattr(workcopy, "PACKAGE", tmp_path / "site-packages" / "labkit")
    monkeypatch.chdir(tmp_path)
    assert workcopy.progress_path() == tmp_path / PROGRESS


def test_clone_is_found_around_the_current_folder(clone: Path, monkeypatch):
    """A labkit that was not installed from the clone works inside it."""
    monkeypatch.setattr(workcopy, "PACKAGE", Path("/nowhere/labkit"))
    monkeypatch.chdir(clone / "notebooks")
    assert workcopy.clone_root() == clone
    monkeypatch.chdir("/")
    with pytest.raises(WorkcopyError, match="go to your clone"):
        workcopy.clone_root()
