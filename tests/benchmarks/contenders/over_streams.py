"""Event streams: the guide in our words, labkit, what else there is, and what a socket costs."""

import asyncio
import contextlib
import json
import socket
import time
from collections import deque

from labkit.workbench.benchhost import House, main, on_uvicorn


def dumps(message):
    """Write a message once, for those who do not insist on doing so for each stream."""
    return json.dumps(message, separators=(",", ":"))


@contextlib.asynccontextmanager
async def floor(_options):
    """No library and no framework: what `send` on a socket costs."""
    loop, peers = asyncio.get_running_loop(), []
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)

    async def greet():
        while True:
            peer, _ = await loop.sock_accept(listener)
            await loop.sock_recv(peer, 4096)
            await loop.sock_sendall(
                peer, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            )
            peers.append(peer)

    async def publish(messages):
        wire = b"".join(b"event: news\ndata: %s\n\n" % dumps(each).encode() for each in messages)
        for peer in peers:
            peer.send(wire)

    greeting = asyncio.create_task(greet())
    yield House(port=listener.getsockname()[1], publish=publish, joined=lambda: len(peers))
    greeting.cancel()


@contextlib.asynccontextmanager
async def guide(_options):
    """A deque for each stream, which looks into it; when it is empty, a ping and a sleep."""
    from fastapi import FastAPI, Request
    from sse_starlette.sse import EventSourceResponse, ServerSentEvent

    app, waiting, topics = FastAPI(), {}, {}

    @app.get("/events")
    async def endpoint(request: Request):
        name = str(id(request))

        async def stream():
            waiting[name], topics[name] = deque(maxlen=100), {"news"}
            while not await request.is_disconnected():
                if waiting[name]:
                    yield waiting[name].popleft()
                else:  # the guide's ping has data; in the id it costs the same, and is not counted
                    yield ServerSentEvent(event="ping", id=dumps({"timestamp": time.time()}))
                    await asyncio.sleep(1)

        return EventSourceResponse(stream())

    async def publish(messages):
        for message in messages:
            for name, wanted in topics.items():
                if "news" in wanted or "*" in wanted:
                    event = ServerSentEvent(event="news", data=json.dumps(message))
                    waiting[name].append(event)

    async with on_uvicorn(app) as port:
        yield House(port=port, publish=publish, joined=lambda: len(waiting))


def labkit(*, valkey=False, handover=False):
    """Chapter 3, with the broker of one process or of many; the response in its endpoint or not."""

    @contextlib.asynccontextmanager
    async def serving(options):
        from fastapi import FastAPI, Request

        from labkit.performance import DirectSend, HandedOver, Handover
        from labkit.sse import MemoryBroker, ValkeyBroker, event_stream

        app = FastAPI()
        way = Handover if handover else DirectSend
        async with contextlib.AsyncExitStack() as stack:
            broker = MemoryBroker()
            if valkey:
                broker = await stack.enter_async_context(ValkeyBroker(options["valkey"]))

            @app.get("/events")
            async def endpoint(request: Request):
                stream = event_stream(request, broker, ["news"], may_subscribe=lambda _: True)
                return HandedOver(stream) if handover else stream

            async def publish(messages):
                for message in messages:
                    await broker.publish("news", dumps(message), "news")

            port = await stack.enter_async_context(on_uvicorn(way(app)))
            yield House(port=port, publish=publish, joined=lambda: len(broker.subscriptions))

    return serving


def queues(respond):
    """A queue for each stream, and something that makes a response of what comes out of it."""

    @contextlib.asynccontextmanager
    async def serving(_options):
        from fastapi import FastAPI

        app, waiting = FastAPI(), set()

        async def taken():
            queue = asyncio.Queue(256)
            waiting.add(queue)
            try:
                while True:
                    yield await queue.get()
            finally:
                waiting.discard(queue)

        respond(app, taken)

        async def publish(messages):
            for message in messages:
                text = dumps(message)
                for queue in waiting:
                    queue.put_nowait(text)

        async with on_uvicorn(app) as port:
            yield House(port=port, publish=publish, joined=lambda: len(waiting))

    return serving


def by_sse_starlette(app, taken):
    """A `ServerSentEvent` for each."""
    from sse_starlette.sse import EventSourceResponse, ServerSentEvent

    @app.get("/events")
    async def endpoint():
        async def stream():
            async for text in taken():
                yield ServerSentEvent(event="news", data=text)

        return EventSourceResponse(stream())


def by_fastapi(app, taken):
    """FastAPI's own."""
    from fastapi.sse import EventSourceResponse, ServerSentEvent

    @app.get("/events", response_class=EventSourceResponse)
    async def endpoint():
        async for text in taken():
            yield ServerSentEvent(event="news", raw_data=text)


def by_starlette(app, taken):
    """Bytes in a `StreamingResponse`."""
    from starlette.responses import StreamingResponse

    @app.get("/events")
    async def endpoint():
        async def stream():
            async for text in taken():
                yield f"event: news\ndata: {text}\n\n".encode()

        return StreamingResponse(stream(), media_type="text/event-stream")


@contextlib.asynccontextmanager
async def pubsub_each(options):
    """A subscription of its own at Valkey for each stream: the usual repair of the guide's."""
    from fastapi import FastAPI
    from redis.asyncio import Redis
    from starlette.responses import StreamingResponse

    app, joined = FastAPI(), []
    client = Redis.from_url(options["valkey"], max_connections=4000)

    @app.get("/events")
    async def endpoint():
        async def stream():
            async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe("news")
                joined.append(pubsub)
                async for message in pubsub.listen():
                    yield b"event: news\ndata: %s\n\n" % message["data"]

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def publish(messages):
        for message in messages:
            await client.publish("news", dumps(message))

    async with on_uvicorn(app) as port:
        yield House(port=port, publish=publish, joined=lambda: len(joined))


if __name__ == "__main__":
    main(
        {
            "sock.send": floor,
            "guide": guide,
            "labkit": labkit(),
            "labkit, handover": labkit(handover=True),
            "StreamingResponse": queues(by_starlette),
            "sse-starlette": queues(by_sse_starlette),
            "fastapi.sse": queues(by_fastapi),
            "labkit, Valkey": labkit(valkey=True),
            "pubsub each": pubsub_each,
        }
    )
