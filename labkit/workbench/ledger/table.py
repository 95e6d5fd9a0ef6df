"""Renders the ledger: Markdown for the README, a table at the end of each chapter."""

from __future__ import annotations

from collections import Counter

from labkit.workbench.display import Table, table
from labkit.workbench.ledger.rows import VERDICTS, Claim, Ledger, Part, read

START, END = "<!-- ledger -->", "<!-- /ledger -->"


KINDS = {
    "pattern": "patterns",
    "checklist": "checklist items",
    "takeaway": "takeaways",
    "choice": "reasons to choose",
}
"""What the guide consists of, by the kinds of `Part`."""
HEADS = {
    "checklist": "Checklist item of the guide",
    "takeaway": "Takeaway of the guide",
    "choice": "The guide's reason to choose",
}


def coverage(ledger: Ledger) -> str:
    """Count what written chapters answer for: `39 of 39 patterns · 15 of 15 checklist items`."""
    counts = []
    for kind, plural in KINDS.items():
        if parts := ledger.parts_of(kind):
            answered = sum(p.chapter in ledger.chapters and bool(ledger.of(p)) for p in parts)
            counts.append(f"{answered} of {len(parts)} {plural}")
    return " · ".join(counts)


def summary(ledger: Ledger | None = None) -> str:
    """Return the Markdown between the README's markers, the markers included."""
    book = ledger or read()
    if not book.chapters:
        return f"{START}\nNo chapter is written yet: {coverage(book)}.\n{END}"
    rows = [
        f"| {part.id} {part.title} | {' | '.join(_counts(book, part))} |"
        for part in book.parts_of("pattern")
        if part.chapter in book.chapters
    ]
    head = f"| Pattern of the guide | {' | '.join(VERDICTS)} |\n|---|---|---|---|"
    lines = [START, f"{coverage(book)}. The patterns, by number of claims:", "", head, *rows]
    for kind, title in HEADS.items():
        if answers := _answers(book, kind):
            lines += ["", f"| {title} | as written | holds with |", "|---|---|---|"]
            lines += [f"| {' | '.join(row)} |" for row in answers]
    return "\n".join([*lines, END])


def overview() -> Table:
    """Return the guide's patterns with the number of claims of each verdict."""
    book = read()
    rows = [(f"{part.id} {part.title}", *_counts(book, part)) for part in book.parts_of("pattern")]
    return table(rows, ("pattern", *VERDICTS))


def answers(*kinds: str) -> Table:
    """Return the guide's other parts, each with its verdict and what it takes instead.

    Args:
        kinds: "checklist", "takeaway" or "choice"; all of them when none is named.

    Raises:
        ValueError: there is no such kind.
    """
    if unknown := [kind for kind in kinds if kind not in HEADS]:
        raise ValueError(f"kind={unknown[0]!r} is none of {', '.join(HEADS)}")
    book = read()
    rows = [(kind, *row) for kind in kinds or tuple(HEADS) for row in _answers(book, kind)]
    return table(rows, ("part", "the guide says", "as written", "holds with"))


def recap(chapter: int) -> Table:
    """Return the chapter's claims, what became of each, and what it takes instead.

    Raises:
        ValueError: the ledger has no claim of this chapter.
    """
    book = read()
    claims = [
        each
        for part in book.parts_of("pattern")
        if part.chapter == chapter
        for each in book.of(part)
    ]
    if not claims:
        raise ValueError(f"chapter={chapter} has no claims in the ledger: use the chapter's number")
    rows = [
        (
            claim.id,
            claim.claim,
            _as_written(claim),
            claim.cure,
        )
        for claim in claims
    ]
    return table(rows, ("claim", "the guide says", "as written", "holds with"))


def _counts(book: Ledger, part: Part) -> list[str]:
    found = Counter(claim.verdict for claim in book.of(part))
    return [str(found[verdict] or "-") for verdict in VERDICTS]


def _answers(book: Ledger, kind: str) -> list[tuple[str, str, str]]:
    return [
        (claim.claim, _as_written(claim), claim.cure)
        for part in book.parts_of(kind)
        if part.chapter in book.chapters
        for claim in book.of(part)
    ]


def _as_written(claim: Claim) -> str:
    return f"holds only if {claim.only_if}" if claim.only_if else claim.verdict
