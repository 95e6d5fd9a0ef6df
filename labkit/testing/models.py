"""A model of the registry that hypothesis compares with the real one, in any order of steps.

The model is a dictionary: who is connected, and what each listens to. Every rule does one thing
to both, and the invariants say that they agree. When they do not, hypothesis looks for the
shortest story that still shows it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labkit.architecture import Connection, Manager, Outgoing, TooManyTopics, encode
from labkit.architecture.inline import Turn

if TYPE_CHECKING:
    from labkit.architecture import Outbox

MAX_TOPICS = 2
TOPICS = st.sampled_from(["a", "b", "c"])
USERS = st.sampled_from([None, "ada", "bob"])
NEWS = encode("event", n=1)
STEPS = 8  # of one story; the shortest that shows something has three or four
STEP = re.compile(r"^((?:\w+ = )?)state\.((?!teardown|indexes_agree).+)$")


class Box:
    """An outbox that takes everything and counts it."""

    def __init__(self) -> None:
        self.taken = 0

    def put(self, _message: Outgoing) -> bool:
        """Take one message."""
        self.taken += 1
        return True


def connect(manager: Manager, user: str | None = None) -> tuple[Connection, Box]:
    """Add a connection without a socket, and return it with its box."""
    box = Box()
    connection = Connection(cast("Outbox", box), on_close=lambda: None, user=user)
    manager.add(connection)
    return connection, box


class Registry(RuleBasedStateMachine):
    """Any order of connecting, subscribing, publishing and leaving keeps the indexes in agreement.

    A subclass sets `make_manager` to try another registry.
    """

    guests = Bundle("guest")
    make_manager: Callable[[], Manager] = staticmethod(lambda: Manager(max_topics=MAX_TOPICS))

    def __init__(self) -> None:
        super().__init__()
        self.manager = self.make_manager()
        self.model: dict[Connection, set[str]] = {}
        self.boxes: dict[Connection, Box] = {}

    @rule(target=guests, user=USERS)
    def connect(self, user: str | None) -> Connection:
        """Somebody comes."""
        connection, self.boxes[connection] = connect(self.manager, user)
        self.model[connection] = set()
        return connection

    @rule(guest=guests, topic=TOPICS)
    def subscribe(self, guest: Connection, topic: str) -> None:
        """Somebody listens; to more topics than the limit nobody may."""
        listened = self.model[guest]
        full = len(listened) == MAX_TOPICS and topic not in listened
        try:
            self.manager.subscribe(guest, topic)
        except TooManyTopics:
            assert full
        else:
            assert not full
            listened.add(topic)

    @rule(guest=guests, topic=TOPICS)
    def unsubscribe(self, guest: Connection, topic: str) -> None:
        """Somebody listens no more, or never did."""
        self.manager.unsubscribe(guest, topic)
        self.model[guest].discard(topic)

    @rule(guest=consumes(guests))
    def leave(self, guest: Connection) -> None:
        """Somebody goes, without a word about topics."""
        self.manager.remove(guest)
        del self.model[guest]

    @precondition(lambda self: self.boxes)
    @rule(topic=TOPICS)
    def publish(self, topic: str) -> None:
        """Everyone who listens gets it, and nobody else."""
        listeners = {each for each, topics in self.model.items() if topic in topics}
        self._reaches(listeners, lambda: self._publish(topic))

    @precondition(lambda self: self.boxes)
    @rule(user=USERS.filter(bool))
    def send_to_user(self, user: str) -> None:
        """Every connection of a user gets it, and nobody else."""
        theirs = {each for each in self.model if each.user == user}
        self._reaches(theirs, lambda: self.manager.send_to_user(user, NEWS))

    @invariant()
    def indexes_agree(self) -> None:
        """The registry knows who the model knows, and nothing else."""
        assert set(self.manager) == set(self.model)
        expected: dict[str, int] = {}
        for connection, topics in self.model.items():
            assert connection.topics == topics
            for topic in topics:
                expected[topic] = expected.get(topic, 0) + 1
        assert self.manager.topics == expected

    def _publish(self, topic: str) -> int:
        accepted = self.manager.publish(topic, NEWS)
        Turn.of(asyncio.get_running_loop()).share_out()  # what the end of the turn would do
        return accepted

    def _reaches(self, expected: set[Connection], send: Callable[[], int]) -> None:
        before = {each: box.taken for each, box in self.boxes.items()}
        assert send() == len(expected)
        got = {each for each, box in self.boxes.items() if box.taken > before[each]}
        assert got == expected


def counterexample(machine: type[RuleBasedStateMachine], *, max_examples: int = 50) -> list[str]:
    """Run a machine; return the shortest story that breaks it, step by step, or an empty list.

    Call it where an event loop runs, which publishing needs.
    The same machine gives the same story on every run.

    Args:
        machine: `Registry`, or a subclass.
        max_examples: how many stories to try before it counts as sound.
    """
    chosen = settings(
        max_examples=max_examples,
        stateful_step_count=STEPS,
        phases=[Phase.generate, Phase.shrink],
        derandomize=True,
        report_multiple_bugs=False,
        deadline=None,
        database=None,
        print_blob=False,
    )
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except Exception as error:  # noqa: BLE001 - whatever a registry does wrong
        steps = [STEP.match(line) for line in "\n".join(error.__notes__).splitlines()]
        return [step[1] + step[2] for step in steps if step]
    return []
