"""A checklist is what its probes find, whatever they find."""

from types import SimpleNamespace

import pytest

from labkit.workbench.probing import Found, Item, examine


def item(name, answer, turn=0):
    async def probe(target):
        target.order.append(name)
        if isinstance(answer, Exception):
            raise answer
        return Found(answer, "as it is")

    return Item(name, f"item {name}", probe, turn)


def server():
    return SimpleNamespace(order=[])


async def test_a_probe_that_fails_is_an_item_that_is_not_kept():
    """The first line of its error is the evidence."""
    found = await examine([item("C1", OSError("no\nway"))], {"ours": server()})
    assert not found.kept("ours", "C1")
    assert str(found.found["ours"]["C1"]) == "✗ OSError: no"


async def test_the_table_has_a_row_for_each_item_and_the_score():
    """A column for each server."""
    found = await examine([item("C1", True), item("C2", False)], {"a": server(), "b": server()})
    assert str(found).splitlines()[2:] == [
        "item C1  ✓ as it is  ✓ as it is",
        "item C2  ✗ as it is  ✗ as it is",
        "kept     1 of 2      1 of 2",
    ]
    assert "<table>" in found._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("turns", [(3, 0, 2), (1, 0, 3)])
async def test_those_that_go_alone_go_by_their_turn(turns):
    """After those that go together; the table keeps the order of the items."""
    target = server()
    items = [item(str(turn), True, turn) for turn in turns]
    found = await examine(items, {"ours": target})
    assert target.order == [str(turn) for turn in sorted(turns)]
    assert [row[0] for row in found.table.rows[:-1]] == [f"item {turn}" for turn in turns]
