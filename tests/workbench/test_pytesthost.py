"""What the warm process tells about a run, line by line."""

import io
import json

from labkit.workbench.pytesthost import Reporter


def lines_of(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Report:
    """A report, as pytest makes it."""

    def __init__(self, outcome, when, message=None):
        self.outcome, self.when, self.nodeid = outcome, when, "test_cells.py::test_it"
        self.passed = outcome == "passed"
        self.longrepr = message


def test_a_set_up_that_passes_is_not_told():
    """One line for each test, unless more than the test went wrong."""
    out = io.StringIO()
    reporter = Reporter(out, idle_s=60)
    reporter.pytest_runtest_logstart("test_cells.py::test_it")
    for when in ("setup", "call", "teardown"):
        reporter.pytest_runtest_logreport(Report("passed", when))
    reporter.pytest_runtest_logfinish()
    assert lines_of(out) == [["passed", "test_it", ""]]


def test_a_clean_up_that_fails_is_told_with_its_place():
    """The first line of the cause is enough, and names where it was."""
    out = io.StringIO()
    reporter = Reporter(out, idle_s=60)
    reporter.pytest_runtest_logreport(Report("failed", "teardown", "Failed: 1 task left\nmore"))
    assert lines_of(out) == [["failed", "test_it", "in its teardown: 1 task left"]]
