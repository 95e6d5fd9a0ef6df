"""Renders the ledger as Markdown, for the README and the last chapter."""

from __future__ import annotations

from collections import Counter

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


def _counts(book: Ledger, part: Part) -> list[str]:
    found = Counter(claim.verdict for claim in book.of(part))
    return [str(found[verdict] or "-") for verdict in VERDICTS]
