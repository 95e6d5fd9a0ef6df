"""What is installed is what the project says, on every route."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import labkit

ROOT = Path(labkit.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ENVIRONMENT = (ROOT / "environment.yml").read_text("utf-8")
CONSTRAINTS = (ROOT / "labkit" / "constraints.txt").read_text("utf-8").splitlines()
PINS = {canonicalize_name(pin.name): pin for pin in map(Requirement, CONSTRAINTS)}
DECLARED = [
    Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]
INSTALLS_THE_PROJECT = re.compile(r"-e \.\[test\]")


def disagreements(environment: str) -> list[str]:
    """Compare an environment.yml with pyproject.toml; one line for each disagreement."""
    listed = yaml.safe_load(environment)["dependencies"]
    conda = [line for line in listed if isinstance(line, str)]
    pip = [line for part in listed if isinstance(part, dict) for line in part["pip"]]
    found = []
    if not any(INSTALLS_THE_PROJECT.fullmatch(line) for line in pip):
        found.append("the project itself is not installed")
    pythons = [line.partition("=")[2] for line in conda if line.startswith("python=")]
    if not pythons or pythons[0] not in SpecifierSet(PROJECT["requires-python"]):
        found.append(f"python {pythons} is not {PROJECT['requires-python']}")
    declared = {canonicalize_name(each.name): each.specifier for each in DECLARED}
    for line in [*conda, *pip]:
        if line.startswith(("python=", "-")) or line == "pip":
            continue
        requirement = Requirement(line)
        if declared.get(canonicalize_name(requirement.name)) != requirement.specifier:
            found.append(f"{line} is not what pyproject.toml says")
    return found


def test_conda_environment_agrees_with_the_project():
    """environment.yml installs the project, on a Python that the project supports."""
    assert disagreements(ENVIRONMENT) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("-e .[test]", "-e ."),
        ("-e .[test]", "numpy"),
        ("python=3.12", "python=3.10"),
        ("  - python=3.12\n", ""),
        ("  - pip\n", "  - pip\n  - fastapi>=0.1\n"),
        ("  - pip\n", "  - pip\n  - flask\n"),
    ],
)
def test_disagreement_is_noticed(right: str, wrong: str):
    """The comparison finds a lost project, a wrong Python, a foreign or different requirement."""
    assert right in ENVIRONMENT
    assert disagreements(ENVIRONMENT.replace(right, wrong, 1))


def test_every_constraint_is_one_exact_version():
    """A name and one version, perhaps where it applies: no address, no option, no range."""
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*( ; [^#/@]+)?", line), line
    assert len(PINS) == len(CONSTRAINTS)


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda requirement: requirement.name)
def test_constraint_lies_in_the_declared_range(requirement: Requirement):
    """What is proven is what the project allows."""
    (specifier,) = PINS[canonicalize_name(requirement.name)].specifier
    assert requirement.specifier.contains(specifier.version)


def closure(name: str, extras: frozenset[str]) -> Iterator[str]:
    """Walk through everything that a distribution needs here."""
    seen = set()
    waiting = [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        yield name
        for requirement in map(Requirement, metadata.requires(name) or []):
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": e}) for e in extras or {""}):
                continue
            needed = canonicalize_name(requirement.name)
            waiting.append((needed, frozenset(requirement.extras)))


def test_constraints_cover_everything_that_is_installed():
    """No requirement of a requirement is left to chance."""
    needed = set(closure("labkit", frozenset({"test", ""}))) - {"labkit"}
    assert len(needed) > len(DECLARED)
    assert needed <= set(PINS)


def imported(file: Path) -> set[str]:
    """Name the top of every module that a file imports, the standard library aside."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names - {"labkit"}


def test_what_the_package_imports_is_declared():
    """Nothing is used that only happens to be installed."""
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    declared.add("pydantic-core")  # half of pydantic, which asks for one exact version of it
    owners = metadata.packages_distributions()
    undeclared = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / "labkit").rglob("*.py")
        for name in imported(file)
        if not {canonicalize_name(owner) for owner in owners[name]} & declared
    }
    assert undeclared == set()


def test_version_is_told_once():
    """The installed version is the one in the package, and the changelog knows it."""
    assert PROJECT["dynamic"] == ["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{labkit.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_ci_script_can_be_run():
    """The script is executable and bash can read it."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=50)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=str)
def test_workflow_is_modest_and_pinned(path: Path):
    """A workflow reads only, keeps no credentials, ends in time, and pins what it uses."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        for step in job["steps"]:
            assert "uses" not in step or re.search(r"@v\d+$", step["uses"])
        assert job["steps"][-1] == {"run": ".ci/run"}
