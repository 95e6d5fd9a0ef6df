"""The names of the workbench load when they are first used."""

import subprocess
import sys

import pytest

import labkit.workbench


def test_every_name_can_be_used():
    """What `from labkit.workbench import *` promises is there."""
    for name in labkit.workbench.__all__:
        assert callable(getattr(labkit.workbench, name))


def test_importing_the_package_loads_nothing_heavy():
    """A command starts fast because of it."""
    code = "import sys, labkit.workbench; print('fastapi' in sys.modules, 'redis' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_an_unknown_name_is_an_attribute_error():
    """The message names package and name."""
    with pytest.raises(AttributeError, match=r"labkit\.workbench.*'fly'"):
        labkit.workbench.fly  # noqa: B018 - the access is the test
