"""Memory of a connection, after some traffic: WebSockets, with deflate, event streams."""

from pathlib import Path

from labkit.workbench.benchstand import Stand, rounds, standing

FOLDER = Path(__file__).parent / "contenders"
OURS = ("guide", "labkit", "labkit, frames", "labkit, handover", "labkit, both", "websockets")
WEBSOCKETS = (*OURS, "aiohttp", "broadcaster")
OTHERS = ("StreamingResponse", "sse-starlette", "fastapi.sse")
STREAMS = ("guide", "labkit", "labkit, handover", *OTHERS)


async def run(bench):
    """Weigh each server's process empty and with its clients."""
    websocket, streams = FOLDER / "over_websocket.py", FOLDER / "over_streams.py"
    if bench.small:
        await weigh(bench, streams, "sse", STREAMS[:2], deflate=False)
        return
    await weigh(bench, websocket, "websocket", WEBSOCKETS, deflate=False)
    await weigh(bench, websocket, "websocket", OURS, deflate=True)
    await weigh(bench, streams, "sse", STREAMS, deflate=False)


async def weigh(bench, script, kind, names, *, deflate):
    """Print KiB for each connection, and how many times less than the guide's."""
    connections, options = 3 if bench.small else 1000, {"deflate": deflate}
    stands = [
        Stand(script, name, connections, kind=kind, options=options, pinned=not bench.small)
        for name in names
    ]
    async with standing(stands, bench.say) as there:
        await rounds(there, 2, lambda each: each.publish(5))
        used = {}
        for each in there:
            grown = (await each.ask("weigh"))["rss_bytes"] - each.empty_bytes
            used[each.name] = max(1, grown) / connections / 1024
    rows = [[name, f"{kib:.1f}", f"{used['guide'] / kib:.2f}x"] for name, kib in used.items()]
    title = f"{connections} connections, {kind}{', deflate' if deflate else ''}"
    bench.table(title, ["", "KiB each", "less than guide"], rows)
