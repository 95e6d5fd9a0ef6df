"""lab.v1 as it is written is lab.v1 as it is spoken: each conversation, line by line."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import get_args

import pytest
from fastapi import FastAPI, WebSocket

from labkit.architecture import Manager, Router
from labkit.messaging import (
    Asks,
    Once,
    PeerGone,
    PeerRefused,
    Topics,
    add_topics,
    negotiate,
    protocol,
)
from labkit.messaging.protocol import MESSAGES, conversations
from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.websocket import Session

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL = conversations()


def not_private(connection, topic):
    """Say who may listen and speak in the written conversations."""
    return topic != "private"


class House:
    """Server, clients, and what each line of a conversation does to them."""

    def __init__(self):
        self.manager, self.router, app = Manager(), Router(), FastAPI()
        self.topics = Topics(self.manager, now=lambda: NOON, new_epoch=lambda: "e1")
        self.asks = Asks(self.manager)
        may = {"may_subscribe": not_private, "may_publish": not_private}
        add_topics(self.router, self.topics, Once(), **may)
        self.asks.teach(self.router)
        self.server = LiveServer(app)
        self.people, self.asked = {}, None

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            if await negotiate(websocket) is None:
                return
            session = Session(websocket=websocket, manager=self.manager, on_text=self.router,
                              overtakes=self.asks.overtakes)  # fmt: skip
            await session.run()

    async def play(self, who, what, rest):
        """Do what one line says, or raise because it is not so."""
        if who == "room":
            await self._room(what, rest)
        elif what == "+":
            await self._join(who, rest)
        elif what == ">":
            json.loads(rest)
            await self.people[who].client.send(rest)
        elif what == "<":
            assert await self.people[who].client.receive_json() == json.loads(rest)
        elif what == "x":
            closed = await self.people[who].client.closed()
            assert f"{closed.code} {closed.reason}" == rest
        else:
            assert what == "-"
            self.people[who].client.abort()
            await until(lambda: self.people[who].connection not in self.manager)

    async def _join(self, who, version):
        before = set(self.manager)
        client = await WebSocketClient.connect(
            f"{self.server.ws_url}/ws", name=who, subprotocols=[version]
        )
        if version == "lab.v1":
            await until(lambda: set(self.manager) - before)
        self.people[who] = Person(client, *(set(self.manager) - before))

    async def _room(self, what, rest):
        if what == "ask":
            name, _, question = rest.partition(" ")
            ask = self.asks.ask(self.people[name].connection, question, timeout_s=5)
            self.asked = asyncio.ensure_future(ask)
        elif what == "=":
            try:
                learned = await self.asked
            except PeerGone as error:
                learned = f"PeerGone: {error}"
            except PeerRefused as error:
                learned = f"PeerRefused: {error.why}"
            assert learned == json.loads(rest)
        else:
            self.topics.publish(what, json.loads(rest))

    async def end(self):
        """Leave nothing behind."""
        for person in self.people.values():
            person.client.abort()
        if self.asked is not None:
            self.asked.cancel()
            await asyncio.gather(self.asked, return_exceptions=True)


@dataclass
class Person:
    """A client, and the connection that the server made for it."""

    client: WebSocketClient
    connection: object = field(default=None)


async def replay(lines):
    """Execute a conversation."""
    house = House()
    async with house.server, asyncio.timeout(10):
        try:
            for line in lines:
                await house.play(*line)
        finally:
            await house.end()


def altered(text):
    """Say one thing otherwise: another number where there is one, else another word."""
    for old, new in (("1", "7"), ("2", "7"), ("lab", "lob"), ("pong", "pang"), ("true", "false")):
        if old in text:
            return text[::-1].replace(old[::-1], new[::-1], 1)[::-1]
    return text.replace('"', '"x', 1)


@pytest.mark.parametrize("conversation", ALL, ids=lambda c: f"{c.number}")
async def test_a_conversation_is_spoken_as_it_is_written(conversation):
    """Every line, in its order, over real sockets."""
    await replay(conversation.lines)


@pytest.mark.parametrize("conversation", ALL, ids=lambda c: f"{c.number}")
async def test_a_changed_line_fails(conversation):
    """Each line of the server, altered in one place, is not what the server says."""
    for index, (who, what, rest) in enumerate(conversation.lines):
        if what in {"<", "x", "="}:
            changed = [*conversation.lines]
            changed[index] = (who, what, altered(rest))
            assert changed[index][2] != rest
            with pytest.raises(AssertionError):
                await replay(changed[: index + 1])


def test_the_conversations_are_numbered_and_none_is_empty():
    """The parser has overlooked nothing that looks like a line."""
    assert [each.number for each in ALL] == list(range(1, len(ALL) + 1))
    written = [line for line in protocol.__doc__.splitlines() if line.startswith("    ")]
    legend = 5
    assert sum(len(each.lines) for each in ALL) == len(written) - legend


def test_the_table_lists_what_the_server_understands():
    """Each client's type, with exactly the fields that its model has, those it must have too."""
    house = Router(), Manager()
    add_topics(house[0], Topics(house[1]), Once(), may_subscribe=not_private,
               may_publish=not_private)  # fmt: skip
    Asks(house[1]).teach(house[0])
    understood = {}
    for model in house[0]._handlers:
        fields = {**model.model_fields}
        (type_,) = get_args(fields.pop("type").annotation)
        must = frozenset(name for name, each in fields.items() if each.is_required())
        understood[type_] = (must, frozenset(fields) - must)
    written = {type_: (each.must, each.may) for type_, each in MESSAGES.items()
               if each.sender in {"client", "both"}}  # fmt: skip
    written["pong"] = (written["pong"][0], written["pong"][1] - {"ref"})
    assert understood == written


def test_the_conversations_use_the_whole_table_and_nothing_else():
    """Every type of the table is spoken somewhere, by whom it says, with fields it lists."""
    spoken = set()
    for conversation in ALL:
        for _, what, rest in conversation.lines:
            message = None
            with contextlib.suppress(ValueError):
                message = json.loads(rest) if what in "<>" else None
            if not isinstance(message, dict):
                continue
            kind = MESSAGES.get(message.pop("type"))
            if what == "<":
                assert kind.must <= set(message) <= kind.must | kind.may | {"x"}
            if kind is not None:
                assert kind.sender in {"both", "client" if what == ">" else "server"}
                spoken.add(kind)
    assert spoken == {each for type_, each in MESSAGES.items() if type_ != "pong"} | {
        MESSAGES["pong"]
    }
