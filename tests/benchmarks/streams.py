"""Event streams: one publisher, N streams, one event a turn and ten; and what idle streams cost."""

import asyncio
from pathlib import Path

from labkit.workbench.benchstand import Stand, rounds, standing

SCRIPT = Path(__file__).parent / "contenders" / "over_streams.py"
KEEP_ALIVE_S = 15  # of all but the guide: less would see all of their pings, or none
NAMES = ("sock.send", "guide", "labkit", "StreamingResponse", "sse-starlette", "fastapi.sse")


async def run(bench):
    """Measure 1000 streams: at rest, as fast as it goes, and at a pace."""
    connections, turns, count = (3, 2, 1) if bench.small else (1000, 10, 3)
    stands = [
        Stand(SCRIPT, name, connections, kind="sse", pinned=not bench.small) for name in NAMES
    ]
    async with standing(stands, bench.say) as there:
        await rounds(there, 1, lambda each: each.publish(2))  # to warm up
        await at_rest(bench, there, 0.05 if bench.small else KEEP_ALIVE_S)
        fast = await rounds(there, count, lambda each: each.publish(turns))
        paced = await rounds(there, 1, lambda each: each.publish(turns, every_s=0.1))
        latencies = {name: samples[0] for name, samples in paced.items()}
        bench.deliveries(f"{connections} streams, 1 event a turn", fast, latencies)
        turns = 1
        many = await rounds(there, count, lambda each: each.publish(turns, per_turn=10))
        bench.deliveries(f"{connections} streams, 10 events a turn", many)


async def at_rest(bench, stands, seconds):
    """Weigh each contender while nothing happens."""
    before = [(await each.ask("weigh"))["cpu_s"] for each in stands]
    await asyncio.sleep(seconds)
    rows = []
    for stand, cpu_s in zip(stands, before, strict=True):
        used = (await stand.ask("weigh"))["cpu_s"] - cpu_s
        rows.append([stand.name, f"{used / seconds:.2%}"])
    bench.table(f"{stands[0].connections} idle streams", ["", "of a core"], rows)
