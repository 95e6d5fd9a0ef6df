"""Verdicts computed from what a notebook cell observed, and compared with the ledger."""

from __future__ import annotations

from functools import cache

from labkit.workbench.ledger.rows import LEDGER, Claim, Ledger, read


class LedgerMismatch(AssertionError):  # noqa: N818 - the name is what a red notebook shows
    """What a cell found is not what the ledger says; the message says which sentence is wrong."""


@cache
def _ledger() -> Ledger:
    return read()


def verdict(
    id: str,  # noqa: A002 - the word that the ledger uses
    *,
    guide: bool,
    only_if: bool | None = None,
    rebuilt: bool | None = None,
) -> str:
    """Return the verdict that the evidence gives, after comparing it with the ledger.

    Args:
        id: The claim, such as "1.1-b".
        guide: Whether the claim held for the guide's version as written.
        only_if: Whether it held for the guide's version under the row's condition.
        rebuilt: Whether it holds for the version that the chapter builds.

    Raises:
        LedgerMismatch: the ledger says something else.
        TypeError: evidence that is not a plain True or False.
    """
    _plain(guide=guide, only_if=only_if, rebuilt=rebuilt)
    claim = _find(id, "claim")
    found = "holds" if guide else "holds if" if only_if else "fails"
    if found != claim.verdict:
        raise _wrong(claim, f"the guide's version now {found!r}, the ledger says {claim.verdict!r}")
    if rebuilt is False:
        raise _wrong(claim, "the rebuilt version no longer holds")
    if bool(claim.cure) != bool(rebuilt):
        raise _wrong(claim, "a cure needs `rebuilt=` as evidence, and evidence a cure in the row")
    return Shown(claim.line)


def fact(id: str, observed: bool) -> str:  # noqa: A002 - the word that the ledger uses
    """Return the line of a library fact that was just observed.

    Raises:
        LedgerMismatch: the fact is no longer so.
        TypeError: `observed` is not a plain True or False.
    """
    _plain(observed=observed)
    claim = _find(id, "fact")
    if not observed:
        raise _wrong(claim, "this is no longer so")
    return Shown(claim.line)


class Shown(str):
    """A sentence that a notebook shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _find(id: str, kind: str) -> Claim:  # noqa: A002 - the word that the ledger uses
    claim = _ledger().claims.get(id)
    if claim is None or claim.kind != kind:
        raise LedgerMismatch(f"the ledger has no {kind} {id!r}: add a row to {LEDGER.name}")
    return claim


def _wrong(claim: Claim, what: str) -> LedgerMismatch:
    part = _ledger().parts.get(claim.part)
    where = f" ({part.title})" if part else ""
    return LedgerMismatch(
        f"chapter {_ledger().chapter(claim)}, {claim.id}{where}: {what}. "
        f'The sentence to correct is "{claim.claim}", in cell {claim.cell or "?"} and in the ledger'
    )


def _plain(**evidence: bool | None) -> None:
    for name, value in evidence.items():
        if value is not None and not isinstance(value, bool):
            raise TypeError(f"{name}= must be True or False, not {type(value).__name__}")
