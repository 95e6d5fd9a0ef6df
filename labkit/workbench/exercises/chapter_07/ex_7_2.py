"""Exercise 7.2: prices, of which only the newest matters."""

from __future__ import annotations

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

exercise = Exercise[type](
    "7.2",
    title="the last price always arrives",
    hints=(
        "A dictionary keeps one value for each key.",
        "A key that is set again keeps its old place: `pop` it first, then set it.",
        "`take` hands out what waits and begins anew.",
    ),
)


@exercise.solution
class Latest:
    """What waits for a slow reader: of each symbol the newest price, oldest change first."""

    def __init__(self) -> None:
        self.waiting: dict[str, float] = {}

    def put(self, symbol: str, price: float) -> None:
        """Let this price wait; it supersedes an older one of its symbol."""
        # hole: remove what waits for the symbol, then add it at the end
        self.waiting.pop(symbol, None)
        self.waiting[symbol] = price
        # end

    def take(self) -> list[tuple[str, float]]:
        """Hand out everything that waits, as (symbol, price), and wait for more."""
        # hole: all items, then nothing waits
        items = list(self.waiting.items())
        self.waiting = {}
        return items
        # end


@exercise.wrong("an old price arrived")
class KeepsTheFirst(Latest):
    """Let nobody supersede."""

    def put(self, symbol: str, price: float) -> None:
        """Keep what waits already."""
        self.waiting.setdefault(symbol, price)


@exercise.wrong("the change that came last is not the last")
class KeepsThePlace(Latest):
    """Overwrite in place."""

    def put(self, symbol: str, price: float) -> None:
        """Set the value; the key stays where it was."""
        self.waiting[symbol] = price


@exercise.wrong("the same price came twice")
class NeverEmpties(Latest):
    """Hand out, and keep."""

    def take(self) -> list[tuple[str, float]]:
        """Forget to forget."""
        return list(self.waiting.items())


@exercise.wrong("more waits than there are symbols")
class KeepsAll(Latest):
    """Let every price wait."""

    def __init__(self) -> None:
        self.all: list[tuple[str, float]] = []

    def put(self, symbol: str, price: float) -> None:
        """Append."""
        self.all.append((symbol, price))

    def take(self) -> list[tuple[str, float]]:
        """Hand out all of them."""
        items, self.all = self.all, []
        return items


@exercise.check
async def check(latest: type) -> None:
    """A thousand prices of three symbols, an order of changes, and a second look."""
    waiting = latest()
    for n in range(999):
        waiting.put("ABC"[n % 3], float(n))
    taken = waiting.take() or []
    given = "999 prices of A, B and C"
    expect(len(taken) <= 3, given=given, got=f"{len(taken)} prices wait",
           because="more waits than there are symbols")  # fmt: skip
    because = "an old price arrived, or none: the newest counts"
    expect_equal(sorted(taken), [("A", 996.0), ("B", 997.0), ("C", 998.0)], given=given,
                 because=because)  # fmt: skip
    because = "the same price came twice: after `take` nothing waits"
    expect_equal(waiting.take(), [], given="`take` once more", because=because)
    for symbol, price in (("A", 1.0), ("B", 2.0), ("A", 3.0)):
        waiting.put(symbol, price)
    because = "the change that came last is not the last: remove before you add"
    expect_equal(waiting.take(), [("B", 2.0), ("A", 3.0)], given="A, B, and A again",
                 because=because)  # fmt: skip
