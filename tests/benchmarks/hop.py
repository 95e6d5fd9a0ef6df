"""The hop over Valkey: one reader a process, no Valkey, a subscription for each stream."""

from pathlib import Path

from labkit.testing.valkey import ValkeyServer
from labkit.workbench.benchstand import Stand, rounds, standing

SCRIPT = Path(__file__).parent / "contenders" / "over_streams.py"
NAMES = ("labkit", "labkit, Valkey", "pubsub each")


async def run(bench):
    """Measure one stream, and many."""
    with ValkeyServer() as valkey:
        for connections in (2,) if bench.small else (1, 500):
            await compare(bench, connections, {"valkey": valkey.url})


async def compare(bench, connections, options):
    """Publish at a pace at which nobody queues."""
    turns, count = (8, 1) if bench.small else (50, 3)
    stands = [
        Stand(SCRIPT, name, connections, kind="sse", options=options, pinned=not bench.small)
        for name in (NAMES[1:2] if bench.small else NAMES)
    ]
    async with standing(stands, bench.say) as there:
        samples = await rounds(there, count, lambda each: each.publish(turns, every_s=0.04))
    bench.latencies(f"{connections} streams, 25 events a second", samples)
