"""A small server of labkit's own parts, with what a test needs to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, ClassVar, Self

from fastapi import FastAPI, WebSocket

from labkit.architecture import Connection, Manager, Outgoing, Router, add_subscriptions, encode
from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import StalledReader
from labkit.testing.server import LiveServer
from labkit.websocket import Session

GLANCE_S = 0.002
SMALL_BYTES = 64 * 1024  # a stalled reader is noticed after a few messages, not after 4 MB


class Room:
    """A correct server: clients listen to topics, `publish` reaches those who do.

    A topic that begins with `private:` is for nobody. Use it as an async context manager.
    """

    name: ClassVar[str] = "the correct server"
    chapter: ClassVar[str] = ""
    patience_s: ClassVar[float] = 5.0  # a test that passes does not wait

    def __init__(self) -> None:
        self.manager = self.make_manager()
        self.router = Router()
        add_subscriptions(self.router, self.manager, may_subscribe=self.may_listen)
        self.server = LiveServer(FastAPI(), notsent_lowat_bytes=SMALL_BYTES)
        self.server.app.add_api_websocket_route("/ws", self._endpoint)  # type: ignore[attr-defined]
        self._clients = contextlib.AsyncExitStack()

    async def join(self, name: str = "ada", *topics: str) -> WebSocketClient:
        """Connect a client and let it listen to topics. It leaves when the room closes."""
        client = await WebSocketClient.connect(f"{self.server.ws_url}/ws", name=name)
        client.timeout_s = self.patience_s
        await self._clients.enter_async_context(client)
        for topic in topics:
            await client.send({"type": "subscribe", "topic": topic})
            await client.receive()
        return client

    async def stall(self, name: str, *topics: str) -> StalledReader:
        """Connect a client that listens to topics and then reads nothing."""
        asks = [json.dumps({"type": "subscribe", "topic": topic}) for topic in topics]
        url = f"{self.server.ws_url}/ws"
        stalled = await StalledReader.connect(url, name=name, first_messages=asks)
        self._clients.callback(stalled.close)
        while any(self.manager.listeners(topic) == 0 for topic in topics):  # noqa: ASYNC110 - soon
            await asyncio.sleep(GLANCE_S)
        return stalled

    def publish(self, topic: str, **fields: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Send `{"type": "event", "topic": topic, …}` to everyone who listens to the topic."""
        self.deliver(topic, encode("event", topic=topic, **fields))

    @property
    def topics(self) -> dict[str, int]:
        """How many listen to each topic, as the server sees it."""
        return self.manager.topics

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._clients.aclose()
        await self.server.stop()

    def make_manager(self) -> Manager:
        """Make the registry."""
        return Manager()

    def may_listen(self, _connection: Connection, topic: str) -> bool:
        """Decide who may listen to what."""
        return not topic.startswith("private:")

    def deliver(self, topic: str, message: Outgoing) -> None:
        """Hand a message to those who listen."""
        self.manager.publish(topic, message)

    def opened(self, connection: Connection) -> None:
        """Do something at the beginning of each connection."""

    async def heard(self, connection: Connection, text: str) -> None:
        """Answer a message."""
        await self.router(connection, text)

    async def _endpoint(self, websocket: WebSocket) -> None:
        session = Session(
            websocket=websocket,
            manager=self.manager,
            on_text=self.heard,
            on_open=self.opened,
        )
        await session.run()
