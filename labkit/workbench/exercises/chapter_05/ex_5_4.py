"""Exercise 5.4: a forgotten permission is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

exercise = Exercise[type](
    "5.4",
    title="a forgotten permission is an error",
    hints=(
        "A parameter without a default cannot be forgotten: Python raises TypeError for you.",
        "Keep the handler and what it needs under the same name.",
        "Look the name up exactly as it came: what is not registered is unknown.",
    ),
)


@exercise.solution
class Commands:
    """Runs what a client asks for, if it may."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, Callable[[], str]]] = {}

    def on(self, name: str, *, needs: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
        """Register the decorated function as the command `name`, which needs a permission."""

        def register(handler: Callable[[], str]) -> Callable[[], str]:
            # hole: remember both
            self.known[name] = needs, handler
            # end
            return handler

        return register

    def run(self, permissions: set[str], name: str) -> str:
        """Return what the command returns, or "unknown", or "forbidden"."""
        # hole: no is the answer to everything else
        if name not in self.known:
            return "unknown"
        needs, handler = self.known[name]
        if needs not in permissions:
            return "forbidden"
        return handler()
        # end


@exercise.wrong("nobody was asked what it needs")
class DefaultsToNothing(Commands):
    """Make the permission optional."""

    def on(self, name: str, *, needs: str = "") -> Callable[[Callable[[], str]], Callable[[], str]]:
        """Take the empty text for *nothing*."""
        return super().on(name, needs=needs)


@exercise.wrong("it ran without its permission")
class ListsTheDangerous(Commands):
    """Do as the guide does: name what is protected, allow the rest."""

    def run(self, permissions: set[str], name: str) -> str:
        """Protect one command by its name."""
        if name not in self.known:
            return "unknown"
        if name == "broadcast" and "room:broadcast" not in permissions:
            return "forbidden"
        return self.known[name][1]()


@exercise.wrong("it ran, and then it was forbidden")
class AsksAfterwards(Commands):
    """Run first."""

    def run(self, permissions: set[str], name: str) -> str:
        """Check the permission for the answer only."""
        if name not in self.known:
            return "unknown"
        needs, handler = self.known[name]
        result = handler()
        return result if needs in permissions else "forbidden"


@exercise.wrong("the name is the name")
class IsTolerant(Commands):
    """Be kind to names that are almost right."""

    def run(self, permissions: set[str], name: str) -> str:
        """Compare without case and spaces, in one of the two places."""
        exact = self.known.get(name.strip().lower())
        if exact is None:
            return "unknown"
        needs, handler = exact
        if name in self.known and needs not in permissions:
            return "forbidden"
        return handler()


@exercise.wrong("whoever may, must be able to")
class ForbidsAll(Commands):
    """Be very safe."""

    def run(self, permissions: set[str], name: str) -> str:
        """Say no."""
        return "forbidden" if name in self.known else "unknown"


CASES: tuple[tuple[str, str, str, str], ...] = (
    ("ada", "broadcast", "sent", "whoever may, must be able to"),
    ("ada", "delete", "deleted", "whoever may, must be able to"),
    ("eve", "broadcast", "forbidden", "it ran without its permission"),
    ("eve", "delete", "forbidden", "it ran without its permission"),
    ("eve", "Delete", "unknown", "the name is the name: `Delete` is not `delete`"),
    ("eve", "delete ", "unknown", "the name is the name: a space makes another one"),
    ("ada", "fly", "unknown", "nobody registered it"),
    ("eve", "", "unknown", "nobody registered it"),
)


@exercise.check
async def check(commands_class: type) -> None:
    """A forgotten permission, then two users and eight commands over a real socket."""
    commands, ran = commands_class(), list[str]()
    _registering_needs_a_permission(commands)

    def broadcast() -> str:
        ran.append("broadcast")
        return "sent"

    def delete() -> str:
        ran.append("delete")
        return "deleted"

    commands.on("broadcast", needs="room:broadcast")(broadcast)
    commands.on("delete", needs="room:delete")(delete)
    permissions = {"ada": {"room:broadcast", "room:delete"}, "eve": {"room:read"}}
    app = FastAPI()

    @app.websocket("/ws/{user}")
    async def endpoint(websocket: WebSocket, user: str) -> None:
        await websocket.accept()
        async for name in websocket.iter_text():
            await websocket.send_text(str(commands.run(permissions[user], name)))

    async with LiveServer(app) as server:
        for user, name, wanted, because in CASES:
            ran.clear()
            async with await WebSocketClient.connect(f"{server.ws_url}/ws/{user}") as client:
                await client.send(name)
                got = await client.receive()
            given = f"{user} asks for {name!r}"
            if wanted in {"forbidden", "unknown"} and got == wanted:
                expect(not ran, given=given, got=got, because="it ran, and then it was forbidden")
            expect_equal(got, wanted, given=given, because=because)


def _registering_needs_a_permission(commands: Any) -> None:
    because = "nobody was asked what it needs: give `needs` no default"
    try:
        commands.on("forgotten")(lambda: "done")
    except TypeError:
        return
    expect(False, given='on("forgotten") without needs=', got="no error", because=because)
