"""What stands in front is asked the same questions as the server itself."""

from labkit.testing.proxies import Caddy
from labkit.testing.server import LiveServer
from labkit.workbench.frontdoor import FrontDoor, compare


async def test_a_proxy_and_the_server_itself_are_compared():
    """A server believes a forged address from 127.0.0.1; Caddy lets none pass."""
    door = FrontDoor()
    async with LiveServer(door.app) as server:
        proxy = Caddy(server.port)
        found = await compare(door, {"nothing": server, "Caddy": proxy})
        assert not proxy.running
    assert str(found).splitlines()[2:] == [
        "nothing   open               from 6.6.6.6         noticed",
        "Caddy     open               from 127.0.0.1       noticed",
    ]


async def test_a_refused_websocket_is_a_row_as_well():
    """A server that has no such path."""

    async def nothing(scope, receive, send):
        assert scope["type"] in {"websocket", "http"}
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async with LiveServer(nothing, lifespan="off") as server:
        found = await compare(FrontDoor(), {"nothing": server})
    assert found.rows[0][:3] == ("nothing", "HTTP 403", "-")
