"""The learner's working copy: ``workbook/``, made from ``notebooks/`` and never overwritten.

The standard library alone, because every start of the workbook passes through here.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
RECORD = ".copied.json"  # notebook -> digest of what was copied, to tell an edited one
PROGRESS = ".progress.json"
ATTIC = ".attic"


class WorkcopyError(Exception):
    """The working copy cannot do what was asked; one sentence with the cure."""


def clone_root() -> Path:
    """Find the clone: the one this package lies in, else the one around the current folder.

    Raises:
        WorkcopyError: There is none.
    """
    for folder in (PACKAGE.parent, Path.cwd(), *Path.cwd().parents):
        if (folder / "notebooks").is_dir() and (folder / "labkit" / "workbench").is_dir():
            return folder
    raise WorkcopyError("the notebooks are not here: go to your clone of labkit and type it there")


def progress_path() -> Path:
    """Say where progress is kept, from whichever folder a notebook was opened.

    ``LABKIT_PROGRESS`` decides; else the clone's working copy; else the current folder.
    """
    if chosen := os.environ.get("LABKIT_PROGRESS"):
        return Path(chosen)
    try:
        return clone_root() / "workbook" / PROGRESS
    except WorkcopyError:
        return Path.cwd() / PROGRESS


class WorkCopy:
    """The working copy of one clone."""

    def __init__(self, root: Path) -> None:
        self.source = root / "notebooks"
        self.folder = root / "workbook"

    def sync(self) -> list[str]:
        """Bring in what is new, and leave alone what the learner has changed.

        Returns:
            One line for each notebook that has a newer original which was not brought in.
        """
        self.folder.mkdir(exist_ok=True)
        before = _object(self.folder / RECORD)  # none: every notebook counts as edited
        record: dict[str, object] = {}
        kept: list[str] = []
        for original in self._originals():
            name = str(original.relative_to(self.source))
            copy = self.folder / name
            theirs, ours = _digest(copy), _digest(original)
            if theirs is None or theirs == before.get(name):
                if theirs != ours:
                    _copy(original, copy)
                record[name] = ours
            elif theirs == ours:
                record[name] = ours
            else:
                record[name] = before.get(name)
                if before.get(name) != ours:
                    kept.append(f"{name}: yours is kept; `labkit reset {name[:2]}` takes the newer")
        if record != before:
            _write(self.folder / RECORD, json.dumps(record, indent=1).encode())
        return kept

    def notebook(self, chapter: int) -> Path:
        """Find the learner's copy of a chapter.

        Raises:
            WorkcopyError: There is no such chapter.
        """
        return self.folder / self._original(chapter).name

    def reset(self, chapters: list[int] | None = None) -> Path | None:
        """Put pristine notebooks in place of the learner's, which move to the attic.

        Args:
            chapters: Which ones; None for all, with the progress.

        Returns:
            The folder that the old ones moved to, or None if there were none.

        Raises:
            WorkcopyError: There is no such chapter; nothing has moved.
        """
        if chapters is None:
            names = [str(original.relative_to(self.source)) for original in self._originals()]
            attic = self._set_aside([*names, PROGRESS])
        else:
            attic = self._set_aside([self._original(chapter).name for chapter in chapters])
            if attic:
                self._forget(chapters, attic)
        self.sync()
        return attic

    def _set_aside(self, names: list[str]) -> Path | None:
        there = [name for name in names if (self.folder / name).exists()]
        if not there:
            return None
        attic = self.folder / ATTIC / time.strftime("%Y-%m-%d_%H.%M.%S")
        while attic.exists():  # two resets in one second
            attic = attic.with_name(attic.name + "+")
        for name in there:
            (attic / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).rename(attic / name)
        return attic

    def _forget(self, chapters: list[int], attic: Path) -> None:
        """Take the chapters' exercises out of the progress; the old file goes to the attic."""
        progress = self.folder / PROGRESS
        records = _object(progress)
        kept = {
            key: row for key, row in records.items() if key.split(".")[0] not in map(str, chapters)
        }
        if kept != records:
            _write(attic / PROGRESS, progress.read_bytes())
            _write(progress, json.dumps(kept, indent=1).encode())

    def _originals(self) -> list[Path]:
        return sorted(
            path
            for path in self.source.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:])
        )

    def _original(self, chapter: int) -> Path:
        found = sorted(self.source.glob(f"{chapter:02}_*.ipynb"))
        if not found:
            there = ", ".join(path.name[:2] for path in sorted(self.source.glob("??_*.ipynb")))
            raise WorkcopyError(
                f"there is no chapter {chapter:02}: choose one of {there or 'none'}"
            )
        return found[0]


def _object(file: Path) -> dict[str, object]:
    """Read a JSON object; a file that is lost or damaged is an empty one."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(file: Path) -> str | None:
    """Digest a file; None if there is none."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _copy(original: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    _write(copy, original.read_bytes())


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    draft.replace(file)
