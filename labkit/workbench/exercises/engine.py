"""What an exercise is: a solution with holes, named wrong answers, and a check.

One exercise is one file, `chapter_01/ex_1_2.py` for exercise 1.2:

    exercise = Exercise[Put]("1.2", title="Drop the oldest", hints=("…", "…"))

    @exercise.solution
    def put(backlog: deque[str], message: str, limit: int) -> int:
        # hole: make room, and count what you drop
        …
        # end

    @exercise.wrong("the newest message is missing")
    def drops_the_newest(…): …

    @exercise.check
    async def check(put: Put) -> None: …

The learner's stub is the solution with each hole replaced by a `...  # TODO` line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from labkit.testing.outcomes import Rejected
from labkit.workbench.exercises import source

if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = TypeVar("Answer", bound=Callable[..., Any])


class Refused(Exception):  # noqa: N818 - it is a verdict, not an error
    """Say why an answer is not accepted: what was given, what came back, the likely cause."""

    def __init__(self, *, given: str, got: object, because: str) -> None:
        super().__init__(f"given {given} · got {_shown(got)} · {because}")


def expect(truth: bool, *, given: str, got: object, because: str) -> None:
    """Refuse the answer unless `truth`."""
    if not truth:
        raise Refused(given=given, got=got, because=because)


def expect_equal(got: object, wanted: object, *, given: str, because: str) -> None:
    """Refuse the answer unless `got` equals `wanted`, and name both."""
    if got != wanted:
        raise Refused(given=given, got=f"{_shown(got)}, not {_shown(wanted)}", because=because)


@contextmanager
def scene(given: str, *, because: str) -> Iterator[None]:
    """Turn a silence, a broken connection or a failed wait inside into one refusal.

    An exception of the learner's own code stays what it is, and so does a refusal.
    """
    try:
        yield
    except (TimeoutError, ConnectionError, Rejected) as error:
        got = str(error) or type(error).__name__
        raise Refused(given=given, got=got, because=because) from error


@dataclass(frozen=True, slots=True)
class Wrong(Generic[Answer]):
    """A mistake people really make, and a fragment of the message that it must earn."""

    answer: Answer
    refused: str

    @property
    def name(self) -> str:
        """The function's name, which names the mistake."""
        return str(self.answer.__name__)


@dataclass(slots=True)
class Exercise(Generic[Answer]):
    """One exercise, filled in by its decorators.

    `key` is chapter and number ("1.2"); `timeout_s` bounds one run of the check.
    """

    key: str
    title: str = field(kw_only=True)
    hints: tuple[str, ...] = field(kw_only=True)
    timeout_s: float = field(default=10.0, kw_only=True)
    wrongs: list[Wrong[Answer]] = field(default_factory=list, init=False)
    answer: Answer = field(init=False)
    run_check: Callable[[Answer], Awaitable[None]] = field(init=False)

    @property
    def chapter(self) -> int:
        """The chapter that the exercise belongs to."""
        return int(self.key.partition(".")[0])

    @property
    def name(self) -> str:
        """The name of the function or class that the learner writes."""
        return str(self.answer.__name__)

    @property
    def solution_text(self) -> str:
        """The solution as the learner may read it, without the marks of its holes."""
        return source.without_marks(source.definition(self.answer))

    @property
    def stub_text(self) -> str:
        """The solution with every hole replaced by one `...  # TODO` line."""
        return source.with_holes(source.definition(self.answer), self.key)

    def solution(self, answer: Answer) -> Answer:
        """Decorate the solution."""
        self.answer = answer
        return answer

    def wrong(self, refused: str) -> Callable[[Answer], Answer]:
        """Decorate a wrong answer whose refusal must contain the text `refused`."""

        def keep(answer: Answer) -> Answer:
            self.wrongs.append(Wrong(answer, refused))
            return answer

        return keep

    def check(
        self, run_check: Callable[[Answer], Awaitable[None]]
    ) -> Callable[[Answer], Awaitable[None]]:
        """Decorate the check: it returns when the answer is right, and raises `Refused` if not."""
        self.run_check = run_check
        return run_check


def _shown(value: object, max_chars: int = 100) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
