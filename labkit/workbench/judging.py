"""Judge tests: run them against a correct server, and against copies that each make one mistake.

This module is also the pytest plugin that gives the tests their `room`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass

import pytest

from labkit.workbench.display import Table, Tabled, table
from labkit.workbench.mutants import MUTANTS
from labkit.workbench.pytestrun import Part, PytestHost, TestRun
from labkit.workbench.room import Room

PLUGINS = ("labkit.testing.fixtures", "labkit.workbench.judging")
HYGIENE = 'pytestmark = pytest.mark.usefixtures("nothing_left")'
SERVERS: tuple[type[Room], ...] = (Room, *MUTANTS)
_caught: set[str] = set()


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.name)
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    """Give each of the servers in turn; one that was caught needs no more tests."""
    if request.param.name in _caught:
        pytest.skip("caught already")
    async with request.param() as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which servers were caught."""
    report = yield
    callspec = getattr(item, "callspec", None)
    if report.failed and callspec is not None and "room" in callspec.params:
        _caught.add(callspec.params["room"].name)
    return report


@dataclass(frozen=True, slots=True, repr=False)
class Judgement(Tabled):
    """What tests are worth.

    Attributes:
        green: whether every test passes on the correct server.
        caught: by which test each wrong server was caught; "" when it survived.
        why: what goes wrong on the correct server, when something does.
    """

    green: bool
    caught: dict[str, str]
    why: str = ""

    @property
    def survivors(self) -> list[str]:
        """The wrong servers that no test has noticed."""
        return [name for name, test in self.caught.items() if not test]

    @property
    def table(self) -> Table:
        """A row for each server."""
        said = "✓ green" if self.green else f"✗ {self.why}"
        rows = [(Room.name, "", said)]
        for kind in MUTANTS:
            test = self.caught[kind.name]
            rows.append((kind.name, kind.chapter, f"✓ caught by {test}" if test else "✗ survives"))
        return table(rows, ("server", "chapter", "the tests"))


async def judge(host: PytestHost, *tests: Part, nothing_left: bool = False) -> Judgement:
    """Run tests, which take a `room`, against every server.

    Args:
        host: runs them.
        tests: functions of a cell.
        nothing_left: whether the fixture of that name watches over each.
    """
    parts = (HYGIENE, *tests) if nothing_left else tests
    run = await host.run(*parts, plugins=PLUGINS, idle_s=10.0)
    return _judgement(run)


def _judgement(run: TestRun) -> Judgement:
    why = ""
    caught = {kind.name: "" for kind in MUTANTS}
    for each in run.outcomes:
        test, _, server = each.name.rstrip("]").partition("[")
        if each.outcome in {"passed", "skipped"}:
            continue
        if server in caught:
            caught[server] = caught[server] or test
        else:
            why = why or f"{test} {each.outcome}: {each.why}"
    return Judgement(not why and bool(run.outcomes), caught, why)
