"""The static look at the ledger: every claim has its cell, its test, and its line."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

from labkit.workbench.ledger.rows import LEDGER, Claim, Ledger, read
from labkit.workbench.ledger.table import coverage
from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

ROOT = cells.FOLDER.parent


def gaps(ledger: Ledger, folder: Path = cells.FOLDER, root: Path = ROOT) -> list[str]:
    """Return what is missing or contradictory, as sentences."""
    books = {cells.chapter_of(path): path for path in cells.find(folder)}
    found = _presence(ledger, books)
    for chapter, path in books.items():
        notebook = cells.read(path)
        claims = [claim for claim in ledger.claims.values() if ledger.chapter(claim) == chapter]
        found += _cells(notebook, path.name, claims, ledger)
        found += [gap for claim in claims if (gap := _test_gap(claim, root))]
        found += [
            f"{part.kind} {part.id} {part.title} has no claim"
            for part in ledger.parts.values()
            if part.chapter == chapter and not ledger.of(part)
        ]
    return found


def main(path: Path = LEDGER, folder: Path = cells.FOLDER, root: Path = ROOT) -> int:
    """Print a line for each claim of the written chapters, then the gaps; return 1 for gaps."""
    ledger = read(path)
    for claim in ledger.claims.values():
        if ledger.chapter(claim) in ledger.chapters:
            print(f"{claim.line} · cell {claim.cell or '-'}")
    if not ledger.chapters:
        print("no chapter is written yet")
    found = gaps(ledger, folder, root)
    for gap in found:
        print(f"GAP {gap}")
    print(f"{coverage(ledger)}, {len(found)} gaps")
    return 1 if found else 0


def _presence(ledger: Ledger, books: dict[int, Path]) -> list[str]:
    absent = [f"chapter {n} has no notebook" for n in ledger.chapters if n not in books]
    unlisted = [
        f"{path.name} is not in `chapters` of {LEDGER.name}"
        for chapter, path in books.items()
        if chapter not in ledger.chapters
    ]
    return absent + unlisted


def _cells(notebook: NotebookNode, name: str, claims: list[Claim], ledger: Ledger) -> list[str]:
    found = []
    shown: dict[str, NotebookNode] = {}
    for cell in cells.code_cells(notebook):
        for function, kind in (("verdict", "claim"), ("fact", "fact")):
            for id_ in cells.calls(cell.source, function):
                claim = ledger.claims.get(id_)
                if claim is None or claim.kind != kind:
                    found.append(f"{name}, cell {cell.id}: the ledger has no {kind} {id_}")
                elif id_ in shown:
                    found.append(f"{name}: {id_} is shown twice, in {shown[id_].id} and {cell.id}")
                else:
                    shown[id_] = cell
    for claim in claims:
        if claim.id in shown:
            found += _shown_gaps(claim, shown[claim.id], name)
        elif claim.kind == "claim" or claim.cell:
            found.append(f"{claim.id} has no cell: {name} never calls {_call(claim)}")
    return found


def _shown_gaps(claim: Claim, cell: NotebookNode, name: str) -> list[str]:
    found = []
    if claim.cell != cell.id:
        found.append(f"{claim.id} is shown in {name}, cell {cell.id}: the row says {claim.cell!r}")
    if not any(claim.line in text for text in cells.texts(cell)):
        found.append(f"{name}, cell {cell.id}: the stored output is not {claim.line!r}")
    return found


def _call(claim: Claim) -> str:
    return f'{"fact" if claim.kind == "fact" else "verdict"}("{claim.id}")'


def _test_gap(claim: Claim, root: Path) -> str:
    path, _, name = claim.test.partition("::")
    if not name:
        return f"{claim.id} has no test"
    if name.split("[")[0].split("::")[-1] not in _tests(root / path):
        return f"{claim.id}: there is no test {claim.test}"
    return ""


@cache
def _tests(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in tree if isinstance(node, functions))
