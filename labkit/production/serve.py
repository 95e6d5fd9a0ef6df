"""`labkit serve`: workers, and what they share, from one command; nothing is left when it ends.

The promises: settings that cannot work start nothing; without a broker of its own, the service
gets one for all workers, which dies with this process however it dies; a worker that is killed is
replaced; SIGTERM and Ctrl-C drain all workers, SIGHUP replaces them one after the other, each
only when its successor is ready.

Chapter 12. The supervisor is uvicorn's. It cannot serve Windows, which has no such signals.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from pydantic import SecretStr
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from labkit.monitoring import json_logs
from labkit.monitoring.scrape import VARIABLE
from labkit.production.settings import PREFIX, BadSettings, Settings
from labkit.testing.valkey import ValkeyServer

START_TIMEOUT_S = 30.0
APP = "labkit.production.app:create_app"


class Supervisor(Multiprocess):
    """uvicorn's, which says when its workers are ready.

    Args:
        config: of the workers.
        listener: where they all accept.
        ready: called once.
    """

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, ready: Callable[[], None]
    ) -> None:
        super().__init__(config, [listener])
        self._ready = ready

    def init_processes(self) -> None:
        """Start the workers."""
        super().init_processes()
        if all(each.wait_until_ready(START_TIMEOUT_S, self.should_exit) for each in self.processes):
            self._ready()

    @property
    def failed(self) -> bool:
        """Whether it ended because a worker could not start."""
        return any(each.exitcode == STARTUP_FAILURE for each in self.processes)


def serve(settings: Settings, say: Callable[[str], None]) -> int:
    """Run the service until it is told to end; returns the exit code.

    Args:
        settings: see `load`.
        say: tells a person, in one line, where it is.

    Raises:
        BadSettings: the port is taken.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(_listener(settings))
        host, port = listener.getsockname()[:2]
        shared = {"PORT": str(port), "SECRET": _text(settings.secret) or secrets.token_hex(32)}
        if settings.redis_url is None:
            shared["REDIS_URL"] = stack.enter_context(ValkeyServer()).url
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="labkit-metrics-"))
        told = {PREFIX + name: value for name, value in (_told(settings) | shared).items()}
        stack.enter_context(_environment(told | {VARIABLE: folder}))
        stack.enter_context(json_logs(level=logging.getLevelName(settings.log_level.upper())))
        config = uvicorn.Config(APP, factory=True, **uvicorn_options(settings))
        many = f"{settings.workers} worker{'s' * (settings.workers > 1)}"
        line = f"labkit serves http://{host}:{port} with {many}; metrics at /metrics"
        supervisor = Supervisor(config, listener, lambda: say(line))
        supervisor.run()
    return int(supervisor.failed)


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn must be told, since no application can do it."""
    return {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "backlog": settings.backlog,
        "timeout_worker_healthcheck": settings.worker_answer_s,
        "forwarded_allow_ips": settings.forwarded_allow_ips,
        "ws": "labkit.performance.frames:FrameProtocol",
        "ws_max_size": settings.ws_max_bytes,
        "ws_ping_interval": settings.ping_interval_s,
        "ws_ping_timeout": settings.ping_timeout_s,
        "timeout_graceful_shutdown": round(settings.drain.total_s + 1),  # longer than any drain
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # the protocol is named, since asyncio switches Nagle's delay off only where it is
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise BadSettings(
            [f"{PREFIX}PORT is {settings.port}: nobody can listen there ({error.strerror})"]
        ) from None
    listener.set_inheritable(True)
    return listener


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _told(settings: Settings) -> dict[str, str]:
    """Write the settings as the environment of a worker."""
    told = {}
    for name, value in settings:
        if isinstance(value, SecretStr):
            told[name.upper()] = value.get_secret_value()
        elif isinstance(value, tuple):
            told[name.upper()] = ",".join(value)
        elif value is not None:
            told[name.upper()] = str(value)
    return told


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
