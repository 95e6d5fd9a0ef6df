"""One of a hundred clients stops reading: what do the others notice?"""

from pathlib import Path

from labkit.testing.faults import StalledReader
from labkit.workbench.benchstand import Stand, rounds, standing

SCRIPT = Path(__file__).parent / "contenders" / "over_websocket.py"
NAMES = ("guide", "labkit", "labkit, frames", "websockets")


async def run(bench):
    """Send 4 KiB two hundred times a second, before the client stalls and after."""
    connections, turns = (3, 8) if bench.small else (99, 1400)
    names = NAMES[2:3] if bench.small else NAMES
    options = {"deflate": False}
    stands = [
        Stand(SCRIPT, name, connections, options=options, pinned=not bench.small) for name in names
    ]

    def publish(stand):
        return stand.publish(turns, every_s=0.005, size=4096, timeout_s=turns * 0.005 + 5)

    async with standing(stands, bench.say) as there:
        before = await rounds(there, 1, publish)
        stalled = [
            await StalledReader.connect(f"ws://127.0.0.1:{each.port}/ws", name="eve")
            for each in there
        ]
        try:
            for each in there:
                await each.ask("joined", clients=connections + 1)
            after = await rounds(there, 1, publish)
        finally:
            for each in stalled:
                each.close()
    title = f"{connections} clients that read"
    bench.latencies(title, before)
    bench.latencies(f"{title}, and one that does not", after, may_fail={"guide"})
