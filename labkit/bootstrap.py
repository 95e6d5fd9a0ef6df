"""Find or make the environment that labkit runs in, then become the command.

The standard library alone: nothing is installed when this runs. A second start must not be felt,
so it compares one small file and imports next to nothing; the slow half, which makes the
environment, is `labkit.install` and is loaded only when needed.
"""

from __future__ import annotations

import os
import sys

STAMP = "labkit-stamp"  # inside .venv: what it was made from and what it holds
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(arguments: list[str], root: str = ROOT) -> None:
    """Run a labkit command in an environment that has all it needs.

    The process becomes the command, and this returns never.

    Args:
        arguments: The command line after ``python -m labkit``.
        root: The clone.

    Raises:
        SystemExit: There is no such environment and none can be made; the reason has been told.
    """
    python = sys.executable
    if not ready_here("test" if arguments[:1] == ["test"] else ""):
        if not is_fresh(root):
            from labkit import install  # noqa: PLC0415 - a second start does without it

            if code := install.main(root):
                sys.exit(code)
        python = os.path.join(root, ".venv", "bin", "python")
        enter(os.path.join(root, ".venv"))
    # The bare command skips the command line's own start-up: it is the one that is waited for.
    module = "labkit.workbench.cli" if arguments else "labkit.workbench.launch"
    os.execv(python, [python, "-m", module, *arguments])  # noqa: S606 - no shell is wanted


def enter(venv: str) -> None:
    """Do what ``activate`` does, for every program that is started from here."""
    os.environ["VIRTUAL_ENV"] = venv
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.path.join(venv, "bin") + os.pathsep + path
    os.environ.pop("PYTHONHOME", None)


def ready_here(extra: str = "") -> bool:
    """Tell whether this interpreter already has labkit and all that it requires.

    True in an activated environment, under conda, ``uv run`` or Binder. There nothing is
    installed: the environment is its owner's.

    Args:
        extra: The extra whose requirements must be there too.
    """
    if not any(
        name.startswith("labkit-") and name.endswith(".dist-info")
        for folder in sys.path
        for name in listing(folder)
    ):
        return False  # the usual case, told without the slow imports below
    import re  # noqa: PLC0415
    from importlib import metadata  # noqa: PLC0415

    try:
        for requirement in metadata.requires("labkit") or []:
            name, _, marker = requirement.partition(";")
            if "extra" not in marker or (extra and extra in marker):
                metadata.distribution(re.split(r"[^\w.-]", name, maxsplit=1)[0])
    except metadata.PackageNotFoundError:
        return False
    return True


def is_fresh(root: str) -> bool:
    """Tell whether the clone's ``.venv`` is whole and made from what the clone says today."""
    try:
        with open(os.path.join(root, ".venv", STAMP), encoding="utf-8") as file:
            origin, _, packages = file.read().rpartition("\n\n")
    except (OSError, ValueError):  # not there, or not text
        return False
    return origin == made_from(root) and set(packages.split()) <= set(installed(root))


def stamp(root: str) -> str:
    """Write down what the clone's ``.venv`` was made from and what it holds."""
    return made_from(root) + "\n\n" + "\n".join(installed(root))


def made_from(root: str) -> str:
    """Say what an environment is made from: place, Python, requirements, versions."""
    parts = [root, python_version()]
    for name in ("pyproject.toml", os.path.join("labkit", "constraints.txt")):
        with open(os.path.join(root, name), encoding="utf-8") as file:
            parts.append(file.read())
    return "\n".join(parts)


def installed(root: str) -> list[str]:
    """List what is installed in the clone's ``.venv``, by the names of the metadata folders."""
    packages = os.path.join(root, ".venv", "lib", "python" + python_version(), "site-packages")
    return sorted(name for name in listing(packages) if name.endswith(".dist-info"))


def python_version() -> str:
    """Return this Python's version as environments count it, such as 3.11."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def listing(folder: str) -> list[str]:
    """List a folder; one that cannot be read is empty."""
    try:
        return os.listdir(folder or os.curdir)
    except OSError:
        return []
