"""A service of the guide's ideas in our words, for a process of its own."""

# ruff: noqa: PLC0415 - a program for another process imports what it needs

from __future__ import annotations

import httpx

from labkit.workbench.probing import Way


def naive_message():
    """Make the guide's message: a model whose `__init__` sets the time."""
    from datetime import UTC, datetime
    from typing import Any

    from pydantic import BaseModel

    class Message(BaseModel):
        type: str
        topic: str = ""
        data: Any = None
        timestamp: datetime | None = None

        def __init__(self, **data):
            super().__init__(**{"timestamp": datetime.now(UTC), **data})

    return Message


def naive_handler(active, broker):
    """Limit by name, subscribe whoever asks, publish where nobody listens."""
    from collections import Counter

    topics, said = {}, Counter()

    async def handle(name, message):
        said[name] += 1
        if said[name] > 100:
            await active[name].send_json({"type": "error", "message": "Rate limit exceeded"})
        elif message.type == "ping":
            await active[name].send_json({"type": "pong"})
        elif message.type == "subscribe":
            topics.setdefault(message.topic, set()).add(name)
            await active[name].send_json({"type": "subscribed"})
        elif message.type == "say":
            await broker.publish(f"ws:broadcast:{message.topic}", message.data)
            for each in topics[message.topic]:
                await active[each].send_json({"type": "said", "data": message.data})

    return handle


def naive_endpoint(app, active, handle, message_type):
    """Check the token, count names, log what happens."""
    import json

    import structlog
    from fastapi import WebSocket, WebSocketDisconnect
    from pydantic import ValidationError

    @app.websocket("/ws/{name}")
    async def endpoint(websocket: WebSocket, name: str, token: str = ""):
        if token != "secret" or len(active) >= 20:
            await websocket.close(1008, "Invalid token")
            return
        await websocket.accept()
        active[name] = websocket
        structlog.get_logger().info("websocket_connected", connection_id=name)
        try:
            while True:
                try:
                    text = await websocket.receive_text()
                    await handle(name, message_type(**json.loads(text)))
                except (json.JSONDecodeError, ValidationError):
                    await websocket.send_json({"type": "error", "message": "Invalid message"})
        except WebSocketDisconnect:
            active.pop(name, None)


def naive_service(port):
    """Serve it, with uvicorn's own pings."""
    import os
    from contextlib import asynccontextmanager

    import redis.asyncio as redis
    import uvicorn
    from fastapi import FastAPI

    active, broker = {}, redis.Redis.from_url(os.environ["REDIS_URL"])

    @asynccontextmanager
    async def lifespan(app):
        yield
        for websocket in active.values():
            await websocket.send_json({"type": "shutdown"})

    app = FastAPI(lifespan=lifespan)
    app.get("/")(lambda: {"hello": "world"})
    app.get("/health/websockets")(lambda: {"status": "healthy", "active_connections": len(active)})
    naive_endpoint(app, active, naive_handler(active, broker), naive_message())
    uvicorn.run(app, port=port, ws_ping_interval=0.3, ws_ping_timeout=0.3)


NAIVE_PARTS = [naive_message, naive_handler, naive_endpoint]


async def naive_way(_process, user):
    return Way(f"/ws/{user}?token=secret")


async def naive_count(process):
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(process.url + "/health/websockets")).json()["active_connections"]


NAIVE = {
    "member": naive_way,
    "count": naive_count,
    "stranger": Way("/ws/eve"),
    "ask": {"type": "ping"},
    "join": {"type": "subscribe", "topic": "hall"},
    "say": lambda: {"type": "say", "topic": "hall", "data": "hello"},
    "spy": {"type": "subscribe", "topic": "user:ada:private"},
    "live": "/health/websockets",
    "ready": "/health/websockets",
}
