"""Keeps a learner's progress in one small file, or in memory where there can be none."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Record:
    """What one learner did with one exercise."""

    tries: int = 0
    hints: int = 0
    passed: bool = False


class Store:
    """Records by exercise key.

    `notice` holds one sentence when the file could not be used as it was; who shows it empties it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.notice = ""
        self._records = self._load()

    def __getitem__(self, key: str) -> Record:
        return self._records.setdefault(key, Record())

    def save(self, key: str) -> None:
        """Write one record, and keep what other kernels wrote meanwhile.

        The file is written whole or not at all. Without a file, records live in memory.
        """
        self._records |= {name: row for name, row in self._load().items() if name != key}
        if self._path is None:
            return
        rows = {name: asdict(self._records[name]) for name in sorted(self._records)}
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            self._path = None
            self.notice = f"progress is kept in memory only: {error.strerror or error}"

    def _load(self) -> dict[str, Record]:
        if self._path is None:
            return {}
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(key): _record(row) for key, row in rows.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.notice = f"progress is kept in memory only: {error.strerror or error}"
            self._path = None
        except (ValueError, TypeError, AttributeError):
            self._set_aside(self._path)
        return {}

    def _set_aside(self, path: Path) -> None:
        aside = next(
            name
            for number in range(1, 1000)
            if not (name := path.with_name(f"{path.name}.broken-{number}")).exists()
        )
        try:
            path.rename(aside)
            self.notice = f"the progress file could not be read: it is kept as {aside.name}"
        except OSError:
            self._path = None
            self.notice = "the progress file could not be read: progress is kept in memory only"


def _record(row: dict[str, int | bool]) -> Record:
    record = Record(**row)  # type: ignore[arg-type]  # checked on the next line
    if [type(value) for value in asdict(record).values()] != [int, int, bool]:
        raise TypeError("not a record of progress")
    return record


def open_store() -> Store:
    """Open the learner's file; under `LABKIT_CI=1` keep everything in memory."""
    if os.environ.get("LABKIT_CI") == "1":
        return Store(None)
    from labkit.workbench.workcopy import progress_path  # noqa: PLC0415 - only learners need it

    return Store(progress_path())
