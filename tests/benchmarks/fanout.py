"""WebSockets: one publisher, N clients, one message a turn and ten, with and without deflate."""

from pathlib import Path

from labkit.workbench.benchstand import Stand, rounds, standing

SCRIPT = Path(__file__).parent / "contenders" / "over_websocket.py"
PLAIN = ("sock.send", "guide", "labkit", "labkit, frames", "websockets", "picows", "aiohttp")
PLAIN += ("broadcaster", "socketio")
DEFLATE = ("sock.send", "guide", "labkit", "labkit, frames", "websockets")


def stand(name, connections, *, deflate=False, pinned=True):
    """Make a contender; the protocol of Socket.IO has a greeting of its own."""
    options = {"deflate": deflate}
    if name != "socketio":
        return Stand(SCRIPT, name, connections, options=options, pinned=pinned)
    options["path"] = "/socket.io/?EIO=4&transport=websocket"
    return Stand(SCRIPT, name, connections, hello="40", first=2, options=options, pinned=pinned)


async def run(bench):
    """Measure all sizes; in miniature one, since each contender takes a second to start."""
    if bench.small:
        await compare(bench, PLAIN, 3, deflate=False)
        return
    for connections in (10, 100, 1000):
        await compare(bench, PLAIN, connections, deflate=False)
    await compare(bench, DEFLATE, 1000, deflate=True)


async def compare(bench, names, connections, *, deflate):
    """Measure one size: as fast as it goes, and at a pace at which nobody queues."""
    turns, count = (2, 1) if bench.small else (max(10, min(100, 10_000 // connections)), 5)
    title = f"{connections} connections{', deflate' if deflate else ''}"
    stands = [stand(name, connections, deflate=deflate, pinned=not bench.small) for name in names]
    async with standing(stands, bench.say) as there:
        await rounds(there, 1, lambda each: each.publish(2))  # to warm up
        fast = await rounds(there, count, lambda each: each.publish(turns))
        if deflate:
            bench.deliveries(f"{title}, 1 message a turn", fast)
            return
        paced = await rounds(there, 1, lambda each: each.publish(turns, every_s=0.05))
        latencies = {name: samples[0] for name, samples in paced.items()}
        bench.deliveries(f"{title}, 1 message a turn", fast, latencies)
        turns = max(2, turns // 5)
        many = await rounds(there, count, lambda each: each.publish(turns, per_turn=10))
        bench.deliveries(f"{title}, 10 messages a turn", many)
