"""The way from a bare Python to a running command."""

from __future__ import annotations

import ast
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit import bootstrap, install

PACKAGE = Path(labkit.__file__).parent
DEADLINE_S = 150
CLI = "import sys\nprint(sys.executable, *sys.argv[1:])\n"
# Stands for uv: notes how it was called, fails with UV_SAYS, or installs one package.
UV = """#!/bin/sh
echo "$@" >> "$UV_LOG"
if [ -n "$UV_SAYS" ]; then echo "$UV_SAYS" >&2; exit 2; fi
mkdir -p "$(dirname "$5")/../lib/python{version}/site-packages/thing-1.0.dist-info"
""".replace("{version}", bootstrap.python_version())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Make a clone with the real bootstrap and a command line that tells how it was started."""
    root = tmp_path / "a clone"
    (root / "labkit" / "workbench").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "labkit"\n')
    for name in ("__init__.py", "__main__.py", "bootstrap.py", "install.py", "constraints.txt"):
        shutil.copy(PACKAGE / name, root / "labkit")
    for name in ("__init__.py", "cli.py", "launch.py"):
        (root / "labkit" / "workbench" / name).write_text(CLI if name != "__init__.py" else "")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV)
    (tmp_path / "bin" / "uv").chmod(0o755)
    return root


def command(clone: Path, *arguments: str) -> list[str]:
    """Build the command; ``-S`` takes the installed packages away, as on a bare machine."""
    return [sys.executable, "-S", "-m", "labkit", *arguments]


def environment(clone: Path, **more: str) -> dict[str, str]:
    """Build an environment with nothing of the tester's but a place for programs."""
    path = f"{clone.parent / 'bin'}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(clone.parent), "UV_LOG": str(clone.parent / "log")} | more


def start(clone: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``python3 -m labkit`` on a bare machine."""
    return subprocess.run(
        command(clone, *arguments),
        cwd=clone,
        env=environment(clone, **more),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def installs(clone: Path) -> list[str]:
    """Return how uv was called, one line each time."""
    return (clone.parent / "log").read_text().splitlines()


def test_first_start_installs_exact_versions_and_becomes_the_command(clone: Path):
    """A bare Python makes .venv, installs with the constraints, and runs the command in it."""
    done = start(clone, "reset", "03")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == f"{clone}/.venv/bin/python reset 03".split()
    (call,) = installs(clone)
    assert call.startswith(f"pip install -q --python {clone}/.venv/bin/python ")
    assert call.endswith(f" -c {clone}/labkit/constraints.txt -e {clone}[test]")
    assert done.stderr.splitlines()[:-1] == [
        f"labkit: making .venv with Python {bootstrap.python_version()}",
        "labkit: installing the packages with uv",
    ]
    assert "ready in" in done.stderr


def test_second_start_installs_nothing(clone: Path):
    """A stamped .venv is taken as it is, without a word."""
    start(clone)
    again = start(clone)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(installs(clone)) == 1


def test_works_from_any_folder(clone: Path, tmp_path: Path):
    """The clone is where the package lies, not where the command is typed."""
    done = subprocess.run(
        command(clone),
        cwd=tmp_path,
        env=environment(clone, PYTHONPATH=str(clone)),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout.split() == f"{clone}/.venv/bin/python".split(), done.stderr


def cut_short(clone: Path) -> None:
    (clone / ".venv" / bootstrap.STAMP).write_text(install.BUILDING)


def lose_a_package(clone: Path) -> None:
    next((clone / ".venv").glob("lib/*/site-packages/thing-1.0.dist-info")).rmdir()


def change_the_versions(clone: Path) -> None:
    (clone / "labkit" / "constraints.txt").write_text("thing==2.0\n")


def lose_the_interpreter(clone: Path) -> None:
    (clone / ".venv" / bootstrap.STAMP).unlink()
    (clone / ".venv" / "bin" / "python").unlink()


def scramble_the_stamp(clone: Path) -> None:
    (clone / ".venv" / bootstrap.STAMP).write_bytes(b"\xff\xfe\n\n")


@pytest.mark.parametrize(
    "damage",
    [cut_short, lose_a_package, change_the_versions, lose_the_interpreter, scramble_the_stamp],
)
def test_damaged_environment_is_made_anew(clone: Path, damage):
    """An environment that is incomplete, outdated or broken is replaced, with a word about it."""
    start(clone)
    (clone / ".venv" / "leftover").touch()
    damage(clone)
    again = start(clone)
    assert again.returncode == 0, again.stderr
    assert "outdated or incomplete" in again.stderr
    assert not (clone / ".venv" / "leftover").exists()
    assert bootstrap.is_fresh(str(clone))


def test_moved_clone_gets_a_new_environment(clone: Path):
    """An environment cannot move: its programs name the old place."""
    start(clone)
    moved = clone.rename(clone.with_name("elsewhere"))
    assert start(moved).stdout.split() == [f"{moved}/.venv/bin/python"]
    assert len(installs(moved)) == 2


def test_environment_of_somebody_else_is_kept(clone: Path):
    """A .venv that runs and was not made here is installed into, not replaced."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    (clone / ".venv" / "theirs").touch()
    assert start(clone).returncode == 0
    assert (clone / ".venv" / "theirs").exists()


def test_folder_that_is_no_environment_is_left_alone(clone: Path):
    """A .venv that holds something else is not touched."""
    (clone / ".venv").mkdir()
    (clone / ".venv" / "thesis.txt").touch()
    done = start(clone)
    assert done.returncode == install.FOREIGN.code
    assert "move it away" in done.stderr
    assert (clone / ".venv" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("error: failed to copy file: No space left on device (os error 28)", install.FULL),
        ("error: failed to create directory: Permission denied (os error 13)", install.LOCKED),
        ("  cause: error sending request\n  cause: dns error", install.OFFLINE),
    ],
)
def test_failure_is_one_sentence_with_its_cure(clone: Path, said: str, cause: install.Cause):
    """What an installer says at length becomes one sentence; the next start begins again."""
    done = start(clone, UV_SAYS=said)
    assert done.returncode == cause.code
    assert done.stderr.splitlines()[-1] == "labkit: " + cause.sentence.format(root=clone)
    assert "Traceback" not in done.stderr
    assert len(installs(clone)) == 1
    assert start(clone).returncode == 0


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("ERROR: [Errno 28] No space left on device", install.FULL),
        ("OSError: [Errno 30] Read-only file system: '.venv'", install.LOCKED),
        ("connection broken by 'NewConnectionError(Errno -3)'", install.OFFLINE),
        ("error sending request: invalid peer certificate: UnknownIssuer", install.UNTRUSTED),
        ("/usr/bin/python3: No module named pip", install.NO_PIP),
        ("error: subprocess-exited-with-error", install.UNKNOWN),
    ],
)
def test_cause_is_read_from_the_installers_words(said: str, cause: install.Cause):
    """The words of pip, uv and Python lead to the cause."""
    assert install.diagnose(said) is cause


@pytest.mark.timeout(200)
def test_pip_takes_over_where_uv_fails(clone: Path):
    """A certificate makes uv try again with the system's certificates; then comes pip's turn."""
    done = start(clone, UV_SAYS="invalid peer certificate: UnknownIssuer", PIP_NO_INDEX="1")
    assert len(installs(clone)) == 2
    assert "uv could not: trying pip" in done.stderr
    assert "ERROR:" in done.stderr
    assert done.stderr.splitlines()[-1] == "labkit: " + install.UNKNOWN.sentence
    assert done.returncode == install.UNKNOWN.code


@pytest.mark.timeout(200)
def test_uv_is_fetched_where_there_is_none(clone: Path):
    """Without uv, pip is asked for it first; without a network that is the end."""
    (clone.parent / "bin" / "uv").unlink()
    done = start(clone, HTTPS_PROXY="http://127.0.0.1:9")
    assert "labkit: fetching uv" in done.stderr
    assert done.stderr.splitlines()[-1] == "labkit: " + install.OFFLINE.sentence
    assert done.returncode == install.OFFLINE.code


def test_two_starts_at_once_make_one_environment(clone: Path):
    """The second set-up waits for the first and uses what it made."""
    both = [
        subprocess.Popen(
            command(clone),
            cwd=clone,
            env=environment(clone),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=DEADLINE_S)[0] for process in both]
    assert [output.split() for output in outputs] == [f"{clone}/.venv/bin/python".split()] * 2
    assert len(installs(clone)) == 1


def test_ready_environment_is_used_as_it_is(clone: Path):
    """Where labkit and its requirements are installed, nothing is made and nothing installed."""
    command = [sys.executable, "-m", "labkit", "test"]
    done = subprocess.run(
        command, cwd=clone, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.stdout.split() == [sys.executable, "test"], done.stderr
    assert not (clone / ".venv").exists()


def test_environment_without_the_test_tools_is_not_ready_to_test(tmp_path: Path, monkeypatch):
    """What the extra asks for counts only when the command needs it."""
    info = tmp_path / "labkit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: labkit\nVersion: 1.0\n"
        "Requires-Dist: no-such-package>=1; extra == 'test'\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert bootstrap.ready_here()
    assert not bootstrap.ready_here("test")


def test_environment_without_a_requirement_is_not_ready(tmp_path: Path, monkeypatch):
    """One missing requirement is enough."""
    info = tmp_path / "labkit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: labkit\nVersion: 1.0\nRequires-Dist: no-such-package<2,>=1\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not bootstrap.ready_here()


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_old_python_can_read_what_it_meets_first(name: str):
    """Both files that come before the look at the version are plain enough for Python 3.6."""
    source = (PACKAGE / name).read_text("utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert "from __future__ import annotations" not in source  # an error before Python 3.7


@pytest.mark.parametrize(
    ("attribute", "value", "cure"),
    [("version_info", (3, 8, 18), "newer one"), ("platform", "win32", "WSL")],
)
def test_unfit_machine_gets_one_sentence(monkeypatch, capsys, attribute, value, cure):
    """An old Python and Windows are refused with a cure and exit code 78."""
    monkeypatch.setattr(sys, attribute, value)
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(PACKAGE / "__main__.py"), run_name="__main__")
    assert exit_.value.code == os.EX_CONFIG
    said = capsys.readouterr().err
    assert cure in said
    assert said.count("\n") == 1


def test_second_start_imports_next_to_nothing():
    """The fast half does without the modules that would take most of its time."""
    probe = "import labkit.bootstrap, sys; print(sorted({'pathlib', 're', 'typing', 'subprocess',"
    probe += " 'labkit.install'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert done.stdout.strip() == "[]"
