"""The rows of the ledger, read from `ledger.toml` and validated."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEDGER = Path(__file__).parent.with_name("ledger.toml")
VERDICTS = ("holds", "holds if", "fails")


class LedgerError(ValueError):
    """The ledger's file breaks one of its own rules; the message names the row."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the guide: a pattern, a checklist item, a takeaway or a reason to choose."""

    id: str
    kind: str
    chapter: int
    title: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One row: a claim of the guide, or (kind "fact") of this workbook about a library."""

    id: str
    claim: str
    verdict: str
    kind: str = "claim"
    only_if: str = ""
    cure: str = ""
    cell: str = ""
    test: str = ""

    @property
    def part(self) -> str:
        """The part of the guide that the claim belongs to: "1.1" for "1.1-b"."""
        return self.id.rpartition("-")[0]

    @property
    def line(self) -> str:
        """What the notebook says when the evidence agrees."""
        if self.kind == "fact":
            return f"{self.id} {self.claim} · still so"
        found = {
            "holds": "holds as written",
            "holds if": f"holds only if {self.only_if}",
            "fails": "fails as written",
        }[self.verdict]
        cured = f" · holds with {self.cure}" if self.cure else ""
        return f'{self.id} "{self.claim}" · {found}{cured}'


@dataclass(frozen=True, slots=True)
class Ledger:
    """The whole file: which chapters are written, the guide's parts, and the claims."""

    chapters: tuple[int, ...]
    parts: dict[str, Part]
    claims: dict[str, Claim]

    def parts_of(self, kind: str) -> list[Part]:
        """List the guide's parts of one kind, in its order."""
        return [part for part in self.parts.values() if part.kind == kind]

    def chapter(self, claim: Claim) -> int:
        """Return the chapter that shows a claim."""
        part = self.parts.get(claim.part)
        return part.chapter if part else int(claim.id.partition(".")[0])

    def of(self, part: Part) -> list[Claim]:
        """List the claims of one part."""
        return [claim for claim in self.claims.values() if claim.part == part.id]


def read(path: Path = LEDGER) -> Ledger:
    """Read and validate the ledger.

    Raises:
        LedgerError: a row breaks a rule that the head of the file states.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"{path.name} is not TOML: {error}") from error
    parts = _unique([_row(Part, row) for row in data.get("part", [])])
    claims = _unique([_row(Claim, row) for row in data.get("claim", [])])
    for claim in claims.values():
        _validate(claim, parts)
    return Ledger(tuple(data.get("chapters", [])), parts, claims)


def _row(kind: type[Any], row: dict[str, Any]) -> Any:  # noqa: ANN401 - Part or Claim
    try:
        return kind(**row)
    except TypeError as error:
        raise LedgerError(f"row {row.get('id', row)!r}: {error}") from error


def _unique(rows: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        if row.id in found:
            raise LedgerError(f"row {row.id!r} is there twice")
        found[row.id] = row
    return found


def _validate(claim: Claim, parts: dict[str, Part]) -> None:
    rules = {
        f"verdict must be one of {', '.join(VERDICTS)}": claim.verdict in VERDICTS,
        'kind must be "claim" or "fact"': claim.kind in {"claim", "fact"},
        'only_if belongs to "holds if", and to it alone': bool(claim.only_if)
        == (claim.verdict == "holds if"),
        "its part is not in the ledger": claim.kind == "fact" or claim.part in parts,
        'a fact is called after its chapter, "2.F1"': claim.kind == "claim"
        or re.fullmatch(r"\d+\.F\d+", claim.id) is not None,
        "a fact holds": claim.kind == "claim" or claim.verdict == "holds",
    }
    for sentence, kept in rules.items():
        if not kept:
            raise LedgerError(f"claim {claim.id!r}: {sentence}")
