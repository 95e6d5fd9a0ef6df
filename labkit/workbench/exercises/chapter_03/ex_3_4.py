"""Exercise 3.4: the last one turns off the light."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from labkit.testing.valkey import ValkeyServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

exercise = Exercise[type](
    "3.4",
    title="the last one turns off the light",
    hints=(
        "How many streams want the topic? Count them: `collections.Counter`.",
        "Only the first `join` of a topic must SUBSCRIBE, only the last `leave` UNSUBSCRIBE.",
        "A `leave` without a `join` must not go below zero.",
    ),
)


@exercise.solution
class Interests:
    """Which topics this process wants, and how many of its streams want each."""

    def __init__(self) -> None:
        self.streams: dict[str, int] = {}

    def join(self, topic: str) -> bool:
        """Count one more stream; return whether the process must SUBSCRIBE now."""
        # hole: the first one
        self.streams[topic] = self.streams.get(topic, 0) + 1
        return self.streams[topic] == 1
        # end

    def leave(self, topic: str) -> bool:
        """Count one less; return whether the process must UNSUBSCRIBE now."""
        # hole: the last one
        if topic not in self.streams:
            return False
        self.streams[topic] -= 1
        if self.streams[topic]:
            return False
        del self.streams[topic]
        return True
        # end


@exercise.wrong("the one who stays hears nothing")
class UnsubscribesForAll(Interests):
    """Do as the guide does: whoever leaves unsubscribes."""

    def leave(self, topic: str) -> bool:
        """Turn off the light with people in the room."""
        super().leave(topic)
        return True


@exercise.wrong("nobody is left, and the server still sends")
class NeverLeaves(Interests):
    """Keep every topic for ever."""

    def leave(self, topic: str) -> bool:
        """Do nothing."""
        return False


@exercise.wrong("one SUBSCRIBE is enough")
class SubscribesAgain(Interests):
    """Ask the server for every stream."""

    def join(self, topic: str) -> bool:
        """Subscribe each time."""
        super().join(topic)
        return True


@exercise.wrong("a leave too many")
class BelowZero(Interests):
    """Count without a floor."""

    def leave(self, topic: str) -> bool:
        """Go to minus one, and be wrong for ever."""
        self.streams[topic] = self.streams.get(topic, 0) - 1
        return self.streams[topic] == 0


@exercise.check
async def check(interests_class: type) -> None:
    """Two streams on a real Valkey; one leaves; then the other."""
    interests, given = interests_class(), "two streams on one topic"
    with ValkeyServer() as valkey:
        async with Redis.from_url(valkey.url) as client, client.pubsub() as pubsub:
            interests.leave("news")
            firsts = [interests.join("news") for _ in range(2)]
            if firsts == [False, True]:
                because = "a leave too many has spoiled the count"
                expect(False, given="a leave before any join", got=firsts, because=because)
            expect_equal(firsts, [True, False], given=given, because="one SUBSCRIBE is enough")
            await pubsub.subscribe("news")
            await pubsub.get_message(timeout=2)
            if interests.leave("news"):
                await pubsub.unsubscribe("news")
                await pubsub.get_message(timeout=2)
            got = await _listeners(client)
            because = "the one who stays hears nothing"
            expect_equal(got, 1, given="one of two streams left", because=because)
            if interests.leave("news"):
                await pubsub.unsubscribe("news")
                await pubsub.get_message(timeout=2)
            because = "nobody is left, and the server still sends"
            expect_equal(await _listeners(client), 0, given="both streams left", because=because)


async def _listeners(client: Redis) -> int:
    """Return how many connections the server counts on the topic."""
    counts: Any = await client.pubsub_numsub("news")
    return int(counts[0][1])
