"""Room 10 · Monitoring: what happens, told by the service itself, from outside its sessions.

visit    one connection as metrics and logs see it
metrics  counted in one place, with labels that no client chooses
scrape   `/metrics`, and the truth about many workers
logs     lines of JSON, each with its connection, and one `closed` line for each
health   alive is not ready
"""

from labkit.monitoring.health import Check, Health
from labkit.monitoring.logs import get_logger, json_logs, redact, told
from labkit.monitoring.metrics import Metrics, class_of
from labkit.monitoring.scrape import Scrape, bury
from labkit.monitoring.visit import Visit

__all__ = [
    "Check",
    "Health",
    "Metrics",
    "Scrape",
    "Visit",
    "bury",
    "class_of",
    "get_logger",
    "json_logs",
    "redact",
    "told",
]
