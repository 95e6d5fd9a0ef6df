"""A topic that few of 10,000 hear, and heartbeats for all of them: what the registry costs."""

import asyncio
import statistics
import time

from labkit.architecture import Connection, Manager, encode
from labkit.architecture.inline import Turn
from labkit.websocket import Heartbeat


class NoOutbox:
    """Takes everything, does nothing: what is measured is the registry."""

    def put(self, _message):
        return True


async def run(bench):
    """Measure both."""
    connections, times = (100, 3) if bench.small else (10_000, 50)
    now = 0.0
    manager = Manager()
    everyone = [
        Connection(NoOutbox(), on_close=lambda: None, clock=lambda: now) for _ in range(connections)
    ]
    wanted = {}
    for n, connection in enumerate(everyone):
        manager.add(connection)
        topic = "rare" if n < 10 else "common"
        manager.subscribe(connection, topic)
        wanted[connection] = {topic}
    message = encode("news", text="x" * 120)

    def scan():
        for connection, topics in wanted.items():
            if "rare" in topics or "*" in topics:
                connection.send(message)

    def publish():
        manager.publish("rare", message)
        turn.share_out()  # what the end of the turn would do

    turn = Turn.of(asyncio.get_running_loop())
    costs = measured({"guide": scan, "labkit": publish}, times)
    rows = [[name, f"{us:.1f}", f"{costs['guide'] / us:.0f}x"] for name, us in costs.items()]
    title = f"publish to 10 of {connections}"
    bench.table(title, ["", "us", "less than guide"], rows)
    await heartbeats(bench, manager, everyone, clock=lambda: 30.0)


def measured(contenders, times):
    """Return microseconds of each, the median of rounds in turn."""
    costs = {name: [] for name in contenders}
    for _ in range(times):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            costs[name].append(1e6 * (time.perf_counter() - began))
    return {name: statistics.median(each) for name, each in costs.items()}


async def heartbeats(bench, manager, everyone, *, clock):
    """Compare one sweep with a task for each connection, as the guide has it."""
    sweeper = Heartbeat(manager, interval_s=25, timeout_s=60, clock=clock)
    swept = measured({"labkit": sweeper.sweep}, 5)["labkit"]

    async def beat(connection, beats=4):
        for _ in range(beats):
            await asyncio.sleep(0.25)
            connection.send(message)
            waiting = asyncio.create_task(asyncio.sleep(10))  # for the pong
            await asyncio.sleep(0)
            waiting.cancel()

    message = encode("ping")
    began = time.process_time()
    await asyncio.gather(*(beat(each) for each in everyone))
    tasks = 1e6 * (time.process_time() - began) / 4
    rows = [["guide", f"{tasks / 1000:.1f}", "1x"]]
    rows.append(["labkit", f"{swept / 1000:.1f}", f"{tasks / swept:.0f}x"])
    title = f"one heartbeat of {len(everyone)} connections"
    bench.table(title, ["", "CPU ms", "less than guide"], rows)
