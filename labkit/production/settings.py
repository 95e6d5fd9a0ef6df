"""Every number of the service: its unit in its name, its reason beside it, checked at the start.

A setting is read from the environment, `LABKIT_` and its name. The promises: a value that cannot
work ends the start, with one line for each that says its name, what was given and what it must be;
a name that nobody knows is told as well, since a typo would be a default in disguise; nothing
changes afterwards; secrets are in no message.

Limits are those of one process: `workers` multiplies them. `logins` and `posts` are for all.

Chapter 12. pydantic-settings reads, pydantic judges.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from limits import parse
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from labkit.auth.tokens import MIN_KEY_BYTES
from labkit.connections.drain import DrainSettings
from labkit.production.cluster import check_address
from labkit.security.origin import serialised

PREFIX = "LABKIT_"
OTHERS = frozenset(
    {f"LABKIT_{name}" for name in ("CI", "PROGRESS", "REQUIRE_CHROMIUM", "REQUIRE_NGINX", "SHOTS")}
)
"""Names that begin alike and are not the service's: they belong to the workbench and its tests."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


class BadSettings(ValueError):  # noqa: N818 - it names the settings
    """The service must not start.

    Attributes:
        lines: one for each setting that is wrong.
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Settings(BaseSettings):
    """The settings of the service. `load` makes them, and says in words what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid",
        hide_input_in_errors=True,
    )  # fmt: skip

    host: str = Field("127.0.0.1", description="nobody else until somebody decides so")
    port: int = Field(8000, ge=0, le=65535, description="0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="one for each core at most")
    worker_answer_s: int = Field(30, ge=1, le=600, description="a new one imports everything")
    backlog: int = Field(2048, ge=16, le=65535, description="handshakes that wait in the kernel")
    forwarded_allow_ips: str = Field(
        "127.0.0.1", description="proxies whose word on the client's address counts"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="one line for each connection's beginning and end"
    )

    redis_url: SecretStr | None = Field(
        None, description="the broker; without it `labkit serve` starts one for its workers"
    )
    redis_timeout_s: Seconds = Field(2.0, description="a page's patience, three commands long")
    history_events: int = Field(100, ge=1, le=10_000, description="a minute of a busy room")
    history_s: float = Field(300.0, gt=0, le=86_400, description="a phone's way through a tunnel")

    secret: SecretStr | None = Field(
        None, description="signs tokens: 32 random bytes, the same for all workers"
    )
    previous_secret: SecretStr | None = Field(
        None, description="still verifies, while the tokens it signed run out"
    )
    token_s: float = Field(3600.0, gt=0, le=86_400, description="a stolen one is good as long")
    demo_login: bool = Field(
        True, description="anyone may be anyone: for a demonstration on this machine"
    )
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="our own pages, separated by commas; this machine's without"
    )
    logins: str = Field("60/minute", description="of one address, at all workers together")
    posts: str = Field("600/minute", description="of one user, at all workers together")

    max_connections: int = Field(
        10_000, ge=1, le=1_000_000, description="per process; 65 KiB each, and a descriptor"
    )
    max_per_user: int = Field(20, ge=1, le=10_000, description="per process; tabs times devices")
    max_per_address: int = Field(200, ge=1, le=1_000_000, description="an office shares one")
    max_topics: int = Field(32, ge=1, le=1024, description="per connection")
    ws_max_bytes: int = Field(
        16_384, ge=1024, le=16_777_216, description="a chat message of 2,000 characters, escaped"
    )
    messages_per_s: float = Field(10.0, gt=0, le=10_000, description="nobody types faster")
    message_burst: int = Field(20, ge=1, le=10_000, description="a page that subscribes at start")
    outbox_items: int = Field(256, ge=1, le=100_000, description="for a reader who is slow")
    outbox_bytes: int = Field(
        1 << 20, ge=65_536, le=1 << 28, description="times all connections must fit in memory"
    )
    write_timeout_s: Seconds = Field(5.0, description="then a reader counts as stalled")

    ping_interval_s: Seconds = Field(20.0, description="proxies cut silence, often after 60 s")
    ping_timeout_s: Seconds = Field(20.0, description="a radio wakes up in a few")
    idle_timeout_s: float = Field(
        300.0, gt=0, le=86_400, description="longer than a phone call, shorter than lunch"
    )
    presence_s: Seconds = Field(
        5.0, description="how often a worker tells who is there; three times this, and it is dead"
    )

    settle_s: float = Field(
        0.0, ge=0, le=600, description="probe interval times threshold of the load balancer"
    )
    polite_s: float = Field(3.0, ge=0, le=600, description="for goodbyes and running requests")
    spread_s: float = Field(
        5.0, ge=0, le=600, description="a fleet that returns at once is a storm"
    )

    @field_validator("origins", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(each.strip() for each in given.split(",") if each.strip())

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            try:
                serialised(each)
            except ValueError:
                raise ValueError("write scheme and host of each, 'https://app.example'") from None
        return given

    @field_validator("logins", "posts")
    @classmethod
    def _is_budget(cls, given: str) -> str:
        try:
            parse(given)
        except ValueError:
            raise ValueError("write it as '60/minute'") from None
        return given

    @field_validator("secret", "previous_secret")
    @classmethod
    def _is_long(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and len(given.get_secret_value().encode()) < MIN_KEY_BYTES:
            raise ValueError(f"it must have {MIN_KEY_BYTES} bytes or more, at random")
        return given

    @field_validator("redis_url")
    @classmethod
    def _is_address(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            check_address(given.get_secret_value())
        return given

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.demo_login and not _is_this_machine(self.host):
            raise ValueError(
                f"{PREFIX}DEMO_LOGIN is on, and {PREFIX}HOST lets others in: it must be off there"
            )
        if not self.demo_login and self.secret is None:
            raise ValueError(f"{PREFIX}SECRET is missing: without the demo login it must be given")
        if self.idle_timeout_s <= 2 * self.ping_interval_s:
            raise ValueError(
                f"{PREFIX}IDLE_TIMEOUT_S is {self.idle_timeout_s:g}: it must be more than twice "
                f"{PREFIX}PING_INTERVAL_S, {self.ping_interval_s:g}"
            )
        if self.max_per_user > self.max_connections:
            raise ValueError(
                f"{PREFIX}MAX_PER_USER is {self.max_per_user}: it must be at most "
                f"{PREFIX}MAX_CONNECTIONS, {self.max_connections}"
            )
        return self

    @property
    def drain(self) -> DrainSettings:
        """How a process ends."""
        return DrainSettings(settle_s=self.settle_s, polite_s=self.polite_s, spread_s=self.spread_s)

    @property
    def own_origins(self) -> tuple[str, ...]:
        """Whose pages may connect: those that are listed, else this machine's."""
        local = tuple(f"http://{name}:{self.port}" for name in ("127.0.0.1", "localhost"))
        return self.origins or local


def load(**overrides: object) -> Settings:
    """Read the settings, `overrides` before the environment.

    Raises:
        BadSettings: with one line for each that is wrong.
    """
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    ours = sorted(name for name in os.environ if name.startswith(PREFIX))
    lines = [_unknown(name, known) for name in ours if name not in known.keys() | OTHERS]
    given = {name: os.environ[long] for long, name in known.items() if long in os.environ}
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic judges them
    except ValidationError as error:
        lines += [_wrong(each, given | overrides) for each in error.errors(include_url=False)]
    if lines:
        raise BadSettings(lines)
    return settings


def _unknown(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name} is no setting: " + (f"did you mean {close[0]}?" if close else "remove it")


def _wrong(error: ErrorDetails, given: Mapping[str, object]) -> str:
    """Say the name, what was given unless it is secret, and what it must be."""
    must = error["msg"].removeprefix("Value error, ").partition(", unable")[0]
    must = must.replace("Input should be", "it must be")
    if not error["loc"]:
        return must
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name)
    secret = field is None or "SecretStr" in str(field.annotation)
    what = "cannot be used" if secret else f"is {given.get(name)!r}"
    return f"{PREFIX}{name.upper()} {what}: {must}"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
