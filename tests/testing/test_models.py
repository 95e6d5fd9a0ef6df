"""The registry agrees with its model in any order of steps; one that does not is found out."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from labkit.architecture.manager import Manager
from labkit.testing.models import MAX_TOPICS, Registry, counterexample


class Ghosts(Manager):
    """Who leaves stays subscribed."""

    def remove(self, connection):
        topics, connection.topics = connection.topics, set()
        super().remove(connection)
        connection.topics = topics


class OneOfAUser(Manager):
    """A user's second connection hides the first."""

    def send_to_user(self, user, message):
        return sum(each.send(message) for each in list(self._by_user.get(user, ()))[:1])


class Everyone(Manager):
    """Publishing forgets the topic."""

    def publish(self, topic, message):
        return sum(each.send(message) for each in self)


STORIES = {
    Ghosts: ["connect", "subscribe", "leave"],
    OneOfAUser: ["connect", "connect", "send_to_user"],
    Everyone: ["connect", "publish"],
}


async def test_the_registry_agrees_with_its_model():
    """In whatever order things happen."""
    run_state_machine_as_test(Registry, settings=settings(max_examples=30, deadline=None))


@pytest.mark.parametrize("manager", STORIES)
async def test_the_shortest_story_is_told(manager):
    """Each wrong registry has a story of a few steps."""
    machine = type(
        manager.__name__,
        (Registry,),
        {"make_manager": staticmethod(lambda: manager(max_topics=MAX_TOPICS))},
    )
    story = counterexample(machine)
    words = [(step.partition(" = ")[2] or step).partition("(")[0] for step in story]
    assert words == STORIES[manager]


async def test_the_story_is_the_same_on_every_run():
    """A notebook can show it."""
    machine = type("Haunted", (Registry,), {"make_manager": staticmethod(Everyone)})
    assert counterexample(machine) == counterexample(machine) != []


async def test_a_sound_registry_has_no_story():
    """Nothing is told of the real one."""
    assert counterexample(Registry) == []
