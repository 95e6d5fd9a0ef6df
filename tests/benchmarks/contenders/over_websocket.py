"""Fan-out over WebSockets: the guide in our words, labkit, its peers, and what a socket costs."""

import asyncio
import contextlib
import json
import socket

from websockets.utils import accept_key

from labkit.workbench.benchhost import House, main, on_uvicorn

FRAMES = "labkit.performance.frames:FrameProtocol"


def dumps(message):
    """Write a message once, for those who do not insist on doing so for each connection."""
    return json.dumps(message, separators=(",", ":"))


@contextlib.asynccontextmanager
async def floor(_options):
    """No library and no framework: what `send` on a socket costs."""
    from labkit.performance.frames import frame

    loop, peers = asyncio.get_running_loop(), []
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)

    async def greet():
        while True:
            peer, _ = await loop.sock_accept(listener)
            head = await loop.sock_recv(peer, 4096)
            key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
            accept = accept_key(key).encode()
            lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket"]
            lines += [b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept, b"", b""]
            await loop.sock_sendall(peer, b"\r\n".join(lines))
            peers.append(peer)

    async def publish(messages):
        wire = b"".join(frame(dumps(each)) for each in messages)
        for peer in peers:
            peer.send(wire)

    greeting = asyncio.create_task(greet())
    yield House(port=listener.getsockname()[1], publish=publish, joined=lambda: len(peers))
    greeting.cancel()


@contextlib.asynccontextmanager
async def guide(options):
    """A dictionary of sockets; each is looked at, then sent to, one after the other."""
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    app, sockets, topics = FastAPI(), {}, {}

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        name = str(id(websocket))
        sockets[name], topics[name] = websocket, {"news"}
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.receive_text()

    async def publish(messages):
        for message in messages:
            for name, wanted in topics.items():
                if "news" in wanted or "*" in wanted:
                    await sockets[name].send_json(message)

    async with on_uvicorn(app, ws_per_message_deflate=options["deflate"]) as port:
        yield House(port=port, publish=publish, joined=lambda: len(sockets))


def labkit(ws, *, handover=False):
    """Chapters 1 and 2, on uvicorn's own protocol or on ours, in the endpoint or handed over."""

    @contextlib.asynccontextmanager
    async def serving(options):
        from fastapi import FastAPI, WebSocket

        from labkit.architecture import Manager, encode
        from labkit.performance import DirectSend, Handover, hand_over
        from labkit.websocket import Session

        app, manager = FastAPI(), Manager()
        outer = (Handover if handover else DirectSend)(app)

        async def ignore(_connection, _text):
            pass

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            await (hand_over(websocket, converse) if handover else converse(websocket))

        async def converse(websocket):
            await Session(websocket=websocket, manager=manager, on_text=ignore, on_open=join).run()

        def join(connection):
            manager.subscribe(connection, "news")

        async def publish(messages):
            for message in messages:
                fields = {key: value for key, value in message.items() if key != "type"}
                manager.publish("news", encode("news", **fields))

        protocol = ws or "websockets-sansio"
        async with on_uvicorn(
            outer, ws=protocol, ws_per_message_deflate=options["deflate"]
        ) as port:
            yield House(port=port, publish=publish, joined=lambda: manager.listeners("news"))

    return serving


@contextlib.asynccontextmanager
async def broadcast(options):
    """The library `websockets` and its `broadcast`."""
    from websockets.asyncio.server import broadcast, serve

    peers = set()

    async def handler(peer):
        peers.add(peer)
        await peer.wait_closed()
        peers.discard(peer)

    async def publish(messages):
        for message in messages:
            broadcast(peers, dumps(message))

    compression = "deflate" if options["deflate"] else None
    async with serve(
        handler, "127.0.0.1", 0, compression=compression, ping_interval=None, backlog=2048
    ) as server:
        port = server.sockets[0].getsockname()[1]
        yield House(port=port, publish=publish, joined=lambda: len(peers))


@contextlib.asynccontextmanager
async def picows(_options):
    """The fastest library: Cython, no framework."""
    from picows import WSListener, WSMsgType, ws_create_server

    peers = set()

    class Listener(WSListener):
        def on_ws_connected(self, transport):
            peers.add(transport)

        def on_ws_disconnected(self, transport):
            peers.discard(transport)

    async def publish(messages):
        for message in messages:
            payload = dumps(message).encode()
            for peer in peers:
                peer.send(WSMsgType.TEXT, payload)

    server = await ws_create_server(lambda _: Listener(), "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    yield House(port=port, publish=publish, joined=lambda: len(peers))


@contextlib.asynccontextmanager
async def aiohttp(options):
    """`await send_str`, one after the other."""
    from aiohttp import web

    peers = set()

    async def handler(request):
        peer = web.WebSocketResponse(compress=options["deflate"])
        await peer.prepare(request)
        peers.add(peer)
        async for _ in peer:
            pass
        return peer

    async def publish(messages):
        for message in messages:
            text = dumps(message)
            for peer in peers:
                await peer.send_str(text)

    app = web.Application()
    app.router.add_get("/ws", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    yield House(port=runner.addresses[0][1], publish=publish, joined=lambda: len(peers))


@contextlib.asynccontextmanager
async def socketio(options):
    """A room of python-socketio on uvicorn."""
    import socketio

    server = socketio.AsyncServer(async_mode="asgi", ping_interval=3600)
    joined = set()

    @server.event
    async def connect(sid, _environ):
        await server.enter_room(sid, "news")
        joined.add(sid)

    async def publish(messages):
        for message in messages:
            await server.emit("news", message, room="news")

    app = socketio.ASGIApp(server)
    async with on_uvicorn(app, ws_per_message_deflate=options["deflate"]) as port:
        yield House(port=port, publish=publish, joined=lambda: len(joined))


@contextlib.asynccontextmanager
async def broadcaster(options):
    """encode/broadcaster in memory: a queue and a writer for each connection."""
    from broadcaster import Broadcast
    from fastapi import FastAPI, WebSocket

    app, hub, joined = FastAPI(), Broadcast("memory://"), set()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async with hub.subscribe("news") as events:
            joined.add(websocket)
            async for event in events:
                await websocket.send_text(event.message)

    async def publish(messages):
        for message in messages:
            await hub.publish("news", dumps(message))

    await hub.connect()
    async with on_uvicorn(app, ws_per_message_deflate=options["deflate"]) as port:
        yield House(port=port, publish=publish, joined=lambda: len(joined))


if __name__ == "__main__":
    main(
        {
            "sock.send": floor,
            "guide": guide,
            "labkit": labkit(None),
            "labkit, frames": labkit(FRAMES),
            "labkit, handover": labkit(None, handover=True),
            "labkit, both": labkit(FRAMES, handover=True),
            "websockets": broadcast,
            "picows": picows,
            "aiohttp": aiohttp,
            "socketio": socketio,
            "broadcaster": broadcaster,
        }
    )
