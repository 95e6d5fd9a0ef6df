"""Exercise 11.5: the rule that is missing."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import consumes, rule

from labkit.architecture import Connection, Manager
from labkit.testing.models import MAX_TOPICS, Registry, counterexample
from labkit.workbench.exercises.engine import Exercise, expect
from labkit.workbench.mutants import HauntedManager

EXAMPLES = 30


class Coming(Registry):
    """The model without its last rule: everybody comes, and nobody ever goes."""

    leave: Any = None  # takes the rule away


exercise = Exercise[type[Coming]](
    "11.5",
    title="the rule that is missing",
    hints=(
        "A rule does one thing twice: to the real registry and to the model.",
        "The registry has `remove`. The model is a dictionary with the guest as its key.",
        "Do not help: whoever loses the network says nothing about topics.",
    ),
    timeout_s=20,
)


@exercise.solution
class Leaving(Coming):
    """The same model; now guests go as well."""

    @rule(guest=consumes(Coming.guests))
    def leave(self, guest: Connection) -> None:
        """Somebody goes, without a word about topics."""
        # hole: the guest leaves the registry, and the model
        self.manager.remove(guest)
        del self.model[guest]
        # end


@exercise.wrong("the registry still has a guest that your model has not")
class OnlyTheModel(Coming):
    """Forget to tell the registry."""

    @rule(guest=consumes(Coming.guests))
    def leave(self, guest: Connection) -> None:
        """Leave the model."""
        del self.model[guest]


@exercise.wrong("your model still has a guest that the registry has not")
class OnlyTheRegistry(Coming):
    """Forget to tell the model."""

    @rule(guest=consumes(Coming.guests))
    def leave(self, guest: Connection) -> None:
        """Leave the registry."""
        self.manager.remove(guest)


@exercise.wrong("a guest that unsubscribes first hides it")
class SaysGoodbye(Coming):
    """Unsubscribe first."""

    @rule(guest=consumes(Coming.guests))
    def leave(self, guest: Connection) -> None:
        """Leave politely."""
        for topic in tuple(guest.topics):
            self.manager.unsubscribe(guest, topic)
        self.manager.remove(guest)
        del self.model[guest]


@exercise.wrong("nobody ever leaves")
class NobodyGoes(Coming):
    """Write a rule that does nothing."""

    @rule(guest=Coming.guests)
    def leave(self, guest: Connection) -> None:
        """Stay."""


@exercise.check
async def check(machine: type[Coming]) -> None:
    """The real registry, on which no story may fail, then one with ghosts."""
    given = "a correct registry"
    story = counterexample(machine, max_examples=EXAMPLES)
    expect(not story, given=given, got=" → ".join(story), because=_diagnosis(machine))
    haunted = type(machine.__name__, (machine,), {"make_manager": staticmethod(_haunted)})
    story = counterexample(haunted, max_examples=EXAMPLES)
    given = "a registry that keeps ghosts"
    expect(bool(story), given=given, got="no story that fails", because=_diagnosis(machine))


def _haunted() -> Manager:
    return HauntedManager(max_topics=MAX_TOPICS)


class _Listening(Manager):
    """A correct registry that notes who says goodbye to a topic while still connected."""

    polite = False

    def unsubscribe(self, connection: Connection, topic: str) -> None:
        self.polite |= connection in self
        super().unsubscribe(connection, topic)


def _diagnosis(machine: type[Coming]) -> str:
    """Let one guest come, listen and go, and say what is odd about it."""
    state = machine()
    state.manager = registry = _Listening()
    guest: Any = state.connect(user=None)
    state.subscribe(guest=guest, topic="a")
    state.leave(guest=guest)
    match guest in registry, guest in state.model:
        case True, True:
            return "nobody ever leaves: your rule must do something, twice"
        case True, False:
            return "the registry still has a guest that your model has not"
        case False, True:
            return "your model still has a guest that the registry has not"
    return "a guest that unsubscribes first hides it: real ones vanish" if registry.polite else ""
