"""A real nginx in front of an application, each of whose directives can be left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence

from labkit.testing.address import HOST
from labkit.testing.proxies import NoProxy, Proxy

DIRECTIVES = {
    "http11": "proxy_http_version 1.1;",
    "upgrade": "proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $connection_upgrade;",
    "host": "proxy_set_header Host $http_host;",
    "address": "proxy_set_header X-Forwarded-For $remote_addr;",
    "scheme": "proxy_set_header X-Forwarded-Proto $scheme;",
    "buffering": "proxy_buffering off;",
    "timeout": "proxy_read_timeout {read_timeout_ms}ms;",
    "retry": "proxy_next_upstream error timeout http_503;",
}
"""What nginx needs in front of real-time endpoints. Leave one out, and see what it was for."""


class Nginx(Proxy):
    """nginx with a configuration whose directives can each be left out.

    Args:
        upstreams: ports on 127.0.0.1, used in turn.
        without: names of `DIRECTIVES`.
        read_timeout_s: seconds without a byte from the application until it cuts the connection;
            nginx's own default is 60.

    Raises:
        ValueError: `without` has a name that is not in `DIRECTIVES`.
    """

    name = "nginx"

    def __init__(
        self, *upstreams: int, without: Collection[str] = (), read_timeout_s: float = 75.0
    ) -> None:
        if unknown := sorted(set(without) - DIRECTIVES.keys()):
            known = ", ".join(DIRECTIVES)
            raise ValueError(f"without has {unknown[0]!r}: the directives are {known}")
        super().__init__(*upstreams)
        timeout_ms = str(round(read_timeout_s * 1000))
        self._location = "\n".join(
            text.replace("{read_timeout_ms}", timeout_ms)
            for name, text in DIRECTIVES.items()
            if name not in without
        )

    @property
    def configuration(self) -> str:
        """The text of its nginx.conf."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {kind};" for kind in kinds)
        servers = " ".join(f"server {HOST}:{port} max_fails=0;" for port in self.upstreams)
        return f"""{"user root root;" if os.geteuid() == 0 else ""}
daemon off; pid pid; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
access_log off; {temporary}
map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
upstream app {{ {servers} }}
server {{
listen {HOST}:{self.port};
location / {{
proxy_pass http://app;
{self._location}
}} }} }}
"""

    def _argv(self) -> Sequence[str]:
        config = str(self._path("config"))
        return [find_nginx(), "-p", str(self._path("")), "-e", "stderr", "-c", config]


def find_nginx() -> str:
    """Return the path of nginx. Raises `NoProxy` when there is none."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NoProxy("there is no nginx here: sudo apt install nginx; Caddy needs nothing")
    return found
