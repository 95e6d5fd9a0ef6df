"""Progress survives: whole files only, and a broken one is never lost."""

from __future__ import annotations

import json

import pytest

from labkit.workbench.exercises.store import Record, Store, open_store


def test_what_is_saved_is_read_again(tmp_path):
    """A new store sees what the old one saved."""
    path = tmp_path / "deep" / "progress.json"
    store = Store(path)
    store["1.2"].tries = 2
    store["1.2"].passed = True
    store.save("1.2")
    assert Store(path)["1.2"] == Record(tries=2, hints=0, passed=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", '{"1.2": 5}', '{"1.2": {"tries": "x"}}', '{"1.2": {"cheat": true}}'],
)
def test_a_broken_file_is_moved_aside(tmp_path, text):
    """Nothing is lost and the lesson goes on."""
    path = tmp_path / "progress.json"
    path.write_text(text)
    store = Store(path)
    assert "could not be read" in store.notice
    assert (tmp_path / "progress.json.broken-1").read_text() == text
    store["1.2"].passed = True
    store.save("1.2")
    assert json.loads(path.read_text())["1.2"]["passed"] is True


def test_a_second_broken_file_does_not_replace_the_first(tmp_path):
    """Each one is kept under its own name."""
    path = tmp_path / "progress.json"
    for text in ("first", "second"):
        path.write_text(text)
        Store(path)
    assert (tmp_path / "progress.json.broken-1").read_text() == "first"
    assert (tmp_path / "progress.json.broken-2").read_text() == "second"


def test_a_place_that_cannot_be_written_means_memory(tmp_path):
    """One sentence, and no crash: a file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "progress.json")
    store["1.2"].passed = True
    store.save("1.2")
    store.save("1.2")
    assert "in memory only" in store.notice
    assert store["1.2"].passed


def test_ci_keeps_progress_in_memory(monkeypatch, tmp_path):
    """The same outputs in every run, whoever ran before."""
    monkeypatch.setenv("LABKIT_CI", "1")
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    store = open_store()
    store["1.2"].passed = True
    store.save("1.2")
    assert list(tmp_path.iterdir()) == []


def test_two_kernels_do_not_undo_each_other(tmp_path):
    """Two notebooks are open at once, and both keep what was done."""
    path = tmp_path / "progress.json"
    first, second = Store(path), Store(path)
    second["2.1"].passed = True
    second.save("2.1")
    first["1.2"].passed = True
    first.save("1.2")
    assert Store(path)["2.1"].passed
    assert Store(path)["1.2"].passed
    assert first["2.1"].passed
