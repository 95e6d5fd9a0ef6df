"""The ledger of claims: what the guide says, which cell shows it, and which test guards it.

A notebook cell calls `verdict`, which computes a verdict from evidence and compares it with
`ledger.toml`. When a library mends a defect, the cell turns red and names the sentence that is
now wrong.
"""

from __future__ import annotations

from labkit.workbench.ledger.evidence import LedgerMismatch, fact, verdict
from labkit.workbench.ledger.rows import Claim, Ledger, LedgerError, Part, read
from labkit.workbench.ledger.table import answers, overview, recap, summary

__all__ = [
    "Claim",
    "Ledger",
    "LedgerError",
    "LedgerMismatch",
    "Part",
    "answers",
    "fact",
    "main",
    "overview",
    "read",
    "recap",
    "summary",
    "verdict",
]


def main() -> int:
    """Print every claim with its verdict and cell, then the gaps; return 1 when there are any."""
    from labkit.workbench.ledger import audit  # noqa: PLC0415 - kernels need no notebook tools

    return audit.main()
