"""Exercise 1.4: who may listen to what."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, WebSocket

from labkit.architecture import Connection, Manager, Router, add_subscriptions
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.websocket import Session
from labkit.workbench.exercises.engine import Exercise, expect_equal

MayListen = Callable[[str | None, str], bool]

exercise = Exercise[MayListen](
    "1.4",
    title="who may listen",
    hints=(
        "Begin with the answer no, and name what is allowed.",
        "Ada's topics begin with `user:ada:`. With the second colon: Adam has topics, too.",
        'A guest has no name. `f"user:{None}:"` is a prefix all the same.',
    ),
)


@exercise.solution
def may_listen(user: str | None, topic: str) -> bool:
    """Say whether `user`, or a guest (None), may listen to `topic`."""
    # hole: news for all, user:NAME:… for NAME, nothing else
    if topic == "news":
        return True
    return user is not None and topic.startswith(f"user:{user}:")
    # end


@exercise.wrong("that topic is Adam's")
def forgets_the_colon(user: str | None, topic: str) -> bool:
    """Compare a prefix that other names share."""
    return topic == "news" or (user is not None and topic.startswith(f"user:{user}"))


@exercise.wrong("a guest has no topics of their own")
def lets_none_be_a_name(user: str | None, topic: str) -> bool:
    """Format None into a prefix."""
    return topic == "news" or topic.startswith(f"user:{user}:")


@exercise.wrong("nothing else exists")
def forbids_by_name(user: str | None, topic: str) -> bool:
    """Forbid what is known to be bad, and allow the rest."""
    return not topic.startswith("user:") or (user is not None and topic.startswith(f"user:{user}:"))


@exercise.wrong("news is for everyone")
def forgets_the_guest(user: str | None, topic: str) -> bool:
    """Let only named users hear anything."""
    return user is not None and (topic == "news" or topic.startswith(f"user:{user}:"))


@exercise.wrong("that is Ada's own topic")
def news_only(user: str | None, topic: str) -> bool:
    """Forget that Ada has mail."""
    return topic == "news"


CASES: tuple[tuple[str | None, str, bool, str], ...] = (
    (None, "news", True, "news is for everyone"),
    ("ada", "news", True, "news is for everyone"),
    ("ada", "user:ada:mail", True, "that is Ada's own topic"),
    ("eve", "user:ada:mail", False, "that is Ada's own topic"),
    (None, "user:ada:mail", False, "that is Ada's own topic"),
    ("ada", "user:adam:mail", False, "that topic is Adam's"),
    (None, "user:None:mail", False, "a guest has no topics of their own"),
    ("ada", "salary", False, "nothing else exists"),
    ("ada", "newsroom", False, "nothing else exists"),
)


@exercise.check
async def check(may_listen: MayListen) -> None:
    """Every user asks a real server for every topic."""
    manager, router, app = Manager(), Router(), FastAPI()

    def ask(connection: Connection, topic: str) -> bool:
        return may_listen(connection.user, topic)

    add_subscriptions(router, manager, may_subscribe=ask)

    @app.websocket("/ws/{user}")
    async def endpoint(websocket: WebSocket, user: str) -> None:
        name = None if user == "guest" else user
        await Session(websocket=websocket, manager=manager, on_text=router, user=name).run()

    async with LiveServer(app) as server:
        for user, topic, allowed, because in CASES:
            given = f"{user or 'a guest'} asks for {topic}"
            url = f"{server.ws_url}/ws/{user or 'guest'}"
            async with await WebSocketClient.connect(url) as client:
                await client.send({"type": "subscribe", "topic": topic})
                got = (await client.receive_json())["type"] == "ok"
            words = {True: "allowed", False: "refused"}
            expect_equal(words[got], words[allowed], given=given, because=because)
