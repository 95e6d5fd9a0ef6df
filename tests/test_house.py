"""The rules of the house: rooms in order, small modules, nothing that does not belong."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
ROOT = PACKAGE.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LAYERS = CONFIG["tool"]["importlinter"]["contracts"][0]["layers"]
ROOMS = [layer.strip("()") for layer in reversed(LAYERS) if layer != "workbench"]
THERE = [room for room in ROOMS if (PACKAGE / room).is_dir()]
MODULES = sorted(PACKAGE.rglob("*.py"))
TOP = {"notebooks", "labkit", "tests", "environment.yml", "pyproject.toml", "README.md"}
TOP |= {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".ci", ".github", ".gitignore"}
DEADLINE_S = 300


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a copy of the house."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def imports(file: Path) -> set[str]:
    """Name every module that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Copy the package and its configuration."""
    shutil.copytree(PACKAGE, tmp_path / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(house: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the house."""
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    return run(sys.executable, "-c", code, cwd=house)


def test_rooms_stand_on_earlier_rooms(house: Path):
    """The contract holds."""
    assert lint_imports(house).returncode == 0, lint_imports(house).stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("architecture/codes.py", "from labkit.sse import format"),
        ("testing/server.py", "from labkit import workbench"),
        ("attic/__init__.py", ""),
    ],
    ids=["a later room", "the workbench", "a room in no order"],
)
def test_contract_notices_what_breaks_the_order(house: Path, module: str, line: str):
    """A later room, the workbench, or a room that nobody put in order: each breaks it."""
    file = house / "labkit" / module
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as code:
        code.write(f"\n{line}\n")
    assert lint_imports(house).returncode != 0


@pytest.mark.parametrize("last", THERE)
def test_room_can_be_entered_when_later_rooms_are_gone(house: Path, last: str):
    """Every module of a room loads with nothing but the rooms before it."""
    kept = THERE[: THERE.index(last) + 1]
    demolish(house, kept)
    modules = [
        ".".join(file.relative_to(house).with_suffix("").parts)
        for file in (house / "labkit" / last).rglob("*.py")
    ]
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    done = run(sys.executable, "-c", code, cwd=house)
    assert done.returncode == 0, done.stderr


def demolish(house: Path, kept: list[str]) -> None:
    """Remove the workbench and every room that is not kept."""
    for folder in (house / "labkit").iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder)


def self_reliant(room: str) -> bool:
    """Tell whether a room's tests do without the rooms after it."""
    later = [*THERE[THERE.index(room) + 1 :], "workbench"]
    used = set().union(*map(imports, (ROOT / "tests" / room).rglob("*.py")))
    return not any(name.startswith(f"labkit.{other}") for name in used for other in later)


@pytest.mark.parametrize("last", [room for room in THERE if self_reliant(room)])
@pytest.mark.timeout(DEADLINE_S + 20)
def test_room_is_green_when_later_rooms_are_gone(house: Path, last: str):
    """A room's own tests pass with nothing but the rooms before it."""
    demolish(house, THERE[: THERE.index(last) + 1])
    (house / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", house / "tests")
    shutil.copytree(ROOT / "tests" / last, house / "tests" / last)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:nbval", "-p", "no:cacheprovider"]
    done = run(*command, "tests", cwd=house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["__init__", "__main__", "bootstrap", "install"])
def test_what_runs_before_the_set_up_needs_the_standard_library_alone(name: str):
    """Nothing is installed yet when these are read."""
    tops = {module.partition(".")[0] for module in imports(PACKAGE / f"{name}.py")}
    assert tops <= sys.stdlib_module_names | {"labkit"}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_module_is_small(file: Path):
    """A module has at most 250 lines, a function at most 40 besides its docstring."""
    source = file.read_text("utf-8")
    assert source.count("\n") <= 250
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            explained = len((ast.get_docstring(node, clean=False) or "").splitlines())
            lines = (node.end_lineno or 0) - node.lineno + 1 - explained
            assert lines <= 40, f"{node.name} has {lines} lines"


def test_top_level_holds_what_belongs_there():
    """The owner has chosen the names; nobody adds one in passing."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git clone")
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert names == TOP


def test_licence_is_mit():
    """The file and the metadata say the same."""
    assert CONFIG["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License\n\nCopyright (c) 2026 The")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_papers_lead_somewhere(name: str):
    """Every file that a paper points to is there."""
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
