"""Renders the ledger: Markdown for the README, a table at the end of each chapter."""

from __future__ import annotations

from collections import Counter

from labkit.workbench.display import Table, table
from labkit.workbench.ledger.rows import VERDICTS, Ledger, Part, read

START, END = "<!-- ledger -->", "<!-- /ledger -->"


def covered(ledger: Ledger) -> int:
    """Count the patterns that a written chapter shows."""
    return sum(
        part.chapter in ledger.chapters and bool(ledger.of(part)) for part in ledger.patterns
    )


def summary(ledger: Ledger | None = None) -> str:
    """Return the Markdown between the README's markers, the markers included."""
    book = ledger or read()
    total = f"{covered(book)} of {len(book.patterns)} patterns"
    if not book.chapters:
        return f"{START}\nNo chapter is written yet: {total}.\n{END}"
    rows = [
        f"| {part.id} {part.title} | {' | '.join(_counts(book, part))} |"
        for part in book.patterns
        if part.chapter in book.chapters
    ]
    head = f"| Pattern of the guide | {' | '.join(VERDICTS)} |\n|---|---|---|---|"
    return "\n".join([START, f"{total}, by number of claims:", "", head, *rows, END])


def recap(chapter: int) -> Table:
    """Return the chapter's claims, what became of each, and what it takes instead.

    Raises:
        ValueError: the ledger has no claim of this chapter.
    """
    book = read()
    claims = [each for part in book.patterns if part.chapter == chapter for each in book.of(part)]
    if not claims:
        raise ValueError(f"chapter={chapter} has no claims in the ledger: use the chapter's number")
    rows = [
        (
            claim.id,
            claim.claim,
            f"holds only if {claim.only_if}" if claim.only_if else claim.verdict,
            claim.cure,
        )
        for claim in claims
    ]
    return table(rows, ("claim", "the guide says", "as written", "holds with"))


def _counts(book: Ledger, part: Part) -> list[str]:
    found = Counter(claim.verdict for claim in book.of(part))
    return [str(found[verdict] or "-") for verdict in VERDICTS]
