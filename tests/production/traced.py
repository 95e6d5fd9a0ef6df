"""Two workers' applications with a tracer provider; prints the spans of one conversation."""

import asyncio
import json
import sys
from types import SimpleNamespace

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.production.conftest import Person, serving, until_type


async def main(valkey):
    """Ada says one thing by HTTP and one on her WebSocket; Eve, at the other worker, hears it."""
    async with serving(valkey, secret="s" * 32) as one, serving(valkey, secret="s" * 32) as two:
        ada, eve = await Person(one, "ada").login(), await Person(two, "eve").login()
        socket, _ = await eve.room()
        await ada.say("by HTTP")
        await until_type(socket, "event")
        mouth = await ada.ws()
        message = {"type": "publish", "id": "1", "topic": "room:tea", "data": "by WebSocket"}
        await mouth.send(message)
        await until_type(socket, "event")
        await ada.leave()
        await eve.leave()


def told(span):
    """Write a span down: what it is called, whose child it is, what it is linked to."""
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": span.context.trace_id,
        "id": span.context.span_id,
        "parent": span.parent and span.parent.span_id,
        "links": [link.context.span_id for link in span.links],
        "topic": span.attributes.get("messaging.destination.name"),
    }


if __name__ == "__main__":
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    asyncio.run(main(SimpleNamespace(url=sys.argv[1])))
    sys.stdout.write(json.dumps([told(span) for span in exporter.get_finished_spans()]))
