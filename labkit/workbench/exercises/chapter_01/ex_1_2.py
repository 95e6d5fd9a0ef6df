"""Exercise 1.2: a registry whose entries nobody can steal."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

exercise = Exercise[type](
    "1.2",
    title="the key is the object",
    hints=(
        "Two clients may carry one name. What do they never share?",
        "An object without `__eq__` is equal only to itself, so it can be a member of a set.",
        "`set.discard` does not mind when the member is gone; `set.remove` does.",
    ),
)


@exercise.solution
class Registry:
    """Connections, each known by the object that `add` made for it."""

    class Connection:
        """One connection; the name is what it calls itself."""

        def __init__(self, name: str) -> None:
            self.name = name

    def __init__(self) -> None:
        self.connections: set[Registry.Connection] = set()

    def add(self, name: str) -> Connection:
        """Make a new connection, remember it, return it."""
        # hole: a new object for every call
        connection = self.Connection(name)
        self.connections.add(connection)
        return connection
        # end

    def remove(self, connection: Connection) -> None:
        """Forget this one connection; the second time changes nothing."""
        # hole: this object, not its name
        self.connections.discard(connection)
        # end

    def of(self, name: str) -> list[Connection]:
        """Return the list of all connections that carry the name."""
        # hole: look at every connection
        return [each for each in self.connections if each.name == name]
        # end


class _Keyed(Registry):
    """What several wrong answers share."""

    def of(self, name: str) -> list[Registry.Connection]:
        """Return what the name carries."""
        return [each for each in self.connections if each.name == name]


@exercise.wrong("the second alice took the place of the first")
class NameIsTheKey:
    """A dictionary by name: the newcomer evicts the owner."""

    Connection = Registry.Connection

    def __init__(self) -> None:
        self.connections: dict[str, Registry.Connection] = {}

    def add(self, name: str) -> Registry.Connection:
        """Overwrite."""
        self.connections[name] = self.Connection(name)
        return self.connections[name]

    def remove(self, connection: Registry.Connection) -> None:
        """Delete by name."""
        self.connections.pop(connection.name, None)

    def of(self, name: str) -> list[Registry.Connection]:
        """Return the one that is left."""
        return [self.connections[name]] if name in self.connections else []


@exercise.wrong("one alice left, and the other was forgotten with her")
class RemovesByName(_Keyed):
    """The right key, and a cleanup that goes by the name."""

    def add(self, name: str) -> Registry.Connection:
        """As it should be."""
        connection = self.Connection(name)
        self.connections.add(connection)
        return connection

    def remove(self, connection: Registry.Connection) -> None:
        """Take out everyone of that name."""
        self.connections = {each for each in self.connections if each.name != connection.name}


@exercise.wrong("a connection that left is still there")
class NeverRemoves(_Keyed):
    """Forget to forget."""

    def add(self, name: str) -> Registry.Connection:
        """As it should be."""
        connection = self.Connection(name)
        self.connections.add(connection)
        return connection

    def remove(self, connection: Registry.Connection) -> None:
        """Do nothing."""


@exercise.wrong("removing twice must change nothing")
class RemoveRaises(_Keyed):
    """`set.remove` minds when the member is gone."""

    def add(self, name: str) -> Registry.Connection:
        """As it should be."""
        connection = self.Connection(name)
        self.connections.add(connection)
        return connection

    def remove(self, connection: Registry.Connection) -> None:
        """Raise the second time."""
        self.connections.remove(connection)


def _app(registry: Registry, sockets: dict[int, tuple[object, WebSocket]]) -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws/{name}")
    async def endpoint(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        connection = registry.add(name)
        sockets[id(connection)] = (connection, websocket)
        await websocket.send_text("registered")
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            registry.remove(connection)
            sockets.pop(id(connection))

    return app


@exercise.check
async def check(registry_class: type[Registry]) -> None:
    """Two clients of one name on a real server; one leaves; who hears the next message?"""
    registry, given = registry_class(), "two clients that both say alice"
    sockets: dict[int, tuple[object, WebSocket]] = {}
    async with LiveServer(_app(registry, sockets)) as server:
        url = f"{server.ws_url}/ws/alice"
        async with await WebSocketClient.connect(url) as first:
            async with await WebSocketClient.connect(url) as second:
                with scene(given, because="`add` raised, or returned nothing"):
                    await first.receive()
                    await second.receive()
                because = "the second alice took the place of the first"
                expect_equal(len(registry.of("alice")), 2, given=given, because=because)
                because = "nobody has that name"
                expect_equal(registry.of("bob"), [], given="a look for bob", because=because)
            with scene(given, because="the server did not notice that one left"):
                await until(lambda: len(sockets) == 1)
            left = registry.of("alice")
            because = "one alice left, and the other was forgotten with her"
            expect(bool(left), given=given, got=f"{len(left)} left", because=because)
            because = "a connection that left is still there"
            expect_equal(len(left), 1, given=given, because=because)
            await sockets[id(left[0])][1].send_text("for alice")
            with scene(given, because="the wrong alice was forgotten"):
                await first.receive()
    _removing_twice(registry)


def _removing_twice(registry: Registry) -> None:
    gone = registry.add("carol")
    try:
        registry.remove(gone)
        registry.remove(gone)
    except Exception as error:
        because = "removing twice must change nothing"
        expect(False, given="two calls of `remove`", got=repr(error), because=because)
