"""The scene signals a real process, and tells who was told and who was cut."""

# ruff: noqa: PLC0415 - a program for another process imports what it needs

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.workbench.shutdown import shut_down


def polite(port):
    """Serve one kind of WebSocket, and say goodbye when uvicorn says so."""
    import uvicorn
    from fastapi import FastAPI, WebSocket

    from labkit.architecture import Manager, Router
    from labkit.connections import Drain, DrainingServer
    from labkit.websocket import Session

    manager, app = Manager(), FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await Session(websocket=websocket, manager=manager, on_text=Router()).run()

    config = uvicorn.Config(app, port=port, log_level="warning")
    DrainingServer(config, Drain(managers=[manager])).run()


def rude(port):
    """Serve a stream that never ends."""
    import asyncio

    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/events")
    async def events():
        async def body():
            yield b"data: 1\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    uvicorn.run(app, port=port, log_level="warning")


async def test_a_process_that_ends_by_itself_has_one_mark():
    """Its client was told, and its lane ends cleanly."""
    async with ServerProcess(polite) as process:
        ada = await WebSocketClient.connect(f"{process.ws_url}/ws", name="ada")
        end = await shut_down(process, ada)
    assert (end.exited, end.told("ada")) == (True, True)
    assert repr(end).splitlines()[1:] == [
        "ada          ━━━━━━┿━━━━━● told, then closed 1012",
        "the process  ━━━━━━┿━━━━━● exit",
    ]


async def test_a_process_that_hangs_is_killed_and_so_is_what_hung_on_it():
    """Its client is cut only then."""
    async with (
        ServerProcess(rude) as process,
        await SSEClient.connect(f"{process.url}/events", name="bob") as bob,
    ):
        end = await shut_down(process, bob, deadline_s=0.5)
    assert (end.exited, end.told("bob")) == (False, False)
    assert [lane.after for lane in end.timeline.lanes] == [3, 3]
    assert "not told: the stream broke off" in repr(end)
