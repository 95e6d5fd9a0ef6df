"""Open the workbook in JupyterLab.

``python -m labkit.workbench.launch`` is what a bare ``python -m labkit`` becomes. It loads the
standard library alone: who opens a workbook waits for JupyterLab already.
"""

from __future__ import annotations

import os
import sys

from labkit.workbench.workcopy import WorkCopy, WorkcopyError, clone_root

# JupyterLab asks its makers for updates and news at every start: the workbook works offline.
QUIET = (
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.news_url=None",
)


def open_lab(chapter: int = 1, options: list[str] | None = None) -> None:
    """Become JupyterLab, open on a chapter of the working copy; returns never.

    Args:
        chapter: Its number.
        options: JupyterLab's own.

    Raises:
        WorkcopyError: There is no clone or no such chapter.
    """
    copy = WorkCopy(clone_root())
    for line in copy.sync():
        sys.stderr.write(f"labkit: {line}\n")
    notebook = copy.notebook(chapter)
    sys.stderr.write(f"labkit: opening workbook/{notebook.name} (Ctrl-C here ends it)\n")
    sys.stderr.flush()
    # A kernel that some other project has registered for the user must not replace this one.
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    root = ["--allow-root"] if os.geteuid() == 0 else []  # a container's only user, mostly
    command = [sys.executable, "-m", "jupyterlab", str(notebook), *QUIET, *root, *(options or [])]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


def main() -> None:
    """Open the first chapter."""
    try:
        open_lab()
    except WorkcopyError as error:
        sys.exit(f"labkit: {error}")


if __name__ == "__main__":
    main()
