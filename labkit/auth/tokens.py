"""A signed token becomes an identity, or one word that says why not.

The promises: only the algorithm and the keys that this service names are believed, never the
token's own word for it; whatever a token must carry, it carries, with the right type; a token
without an end, or with one too far away, is refused. The words of `BadCredentials` hold nothing
of the token, so they can be sent back and logged as they are.

Chapter 5. PyJWT checks the form and the signature (RFC 7519, RFC 8725); the times are compared
here, because the clock is an argument.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Annotated

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ALGORITHM = "HS256"
MIN_KEY_BYTES = 32
"""An HMAC key is at least as long as its hash (RFC 7518 §3.2)."""

_CLAIMS = ["sub", "jti", "iat", "exp", "iss", "aud"]
_OPTIONS: jwt.types.Options = {
    "require": _CLAIMS,
    "strict_aud": True,
    "verify_exp": False,  # ours, with our clock
    "verify_nbf": False,
    "verify_iat": False,
}
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.MissingRequiredClaimError, "missing claim"),
    (jwt.InvalidAudienceError, "wrong audience"),
    (jwt.InvalidIssuerError, "wrong issuer"),
    (jwt.InvalidAlgorithmError, "wrong algorithm"),
    (jwt.InvalidSignatureError, "wrong signature"),
)

Seconds = Annotated[float, Field(ge=0, le=253_402_300_799)]  # to the end of the year 9999


class BadCredentials(Exception):  # noqa: N818 - it names the credentials, in the field's terms
    """What the client showed is not accepted.

    Attributes:
        code: a few words, free of the client's input: `missing`, `malformed`, `too long`,
            `wrong signature`, `expired`, `revoked`, ….
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AuthUnavailable(Exception):  # noqa: N818 - it names the state of the service
    """Nobody can tell now whether the credentials are good: that is our outage, not a refusal."""


class Identity(BaseModel):
    """Who somebody is, as a verified token says, and until when.

    Attributes:
        user: one to 64 letters, digits or `_.@-`: it can be part of a topic's name.
        token_id: of the token, so that one can be withdrawn.
        issued_at: seconds since 1970.
        expires_at: seconds since 1970, any leeway included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    token_id: Annotated[str, Field(min_length=1, max_length=64)]
    issued_at: Seconds
    expires_at: Seconds


class _Claims(BaseModel):
    """The claims that count, with strict types; what else a token says is nothing to us."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    sub: str
    jti: str
    iat: Seconds
    exp: Seconds
    nbf: Seconds = 0


class Tokens:
    """Issue and verify tokens of one service.

    Args:
        keys: secrets by key id. The first one signs; all of them verify, so that a key can be
            replaced without logging anybody out: put the new one first, remove the old one
            `max_lifetime_s` later.
        issuer: who made a token, and who must have made it.
        audience: whom a token is for: a token for another service is no token here.
        leeway_s: by how many seconds the issuer's clock may differ from ours.
        max_lifetime_s: the longest time, in seconds, between a token's making and its end.
        max_bytes: longer texts are refused unread.
        clock: seconds since 1970.

    Raises:
        ValueError: there is no key, or one is shorter than 32 bytes.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        *,
        issuer: str,
        audience: str,
        leeway_s: float = 0.0,
        max_lifetime_s: float = 3600.0,
        max_bytes: int = 4096,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not keys:
            raise ValueError("keys is empty: a service needs a key to sign with")
        for key_id, key in keys.items():
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(f"keys[{key_id!r}] has {len(key)} bytes: use 32 random ones")
        self._keys = dict(keys)
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self.leeway_s = leeway_s
        self.max_lifetime_s = max_lifetime_s
        self.max_bytes = max_bytes

    def issue(self, user: str, *, lifetime_s: float) -> str:
        """Make a token for `user` that ends in `lifetime_s` seconds.

        Raises:
            ValueError: the lifetime is longer than `max_lifetime_s`, or the name cannot be one.
        """
        if lifetime_s > self.max_lifetime_s:
            raise ValueError(f"lifetime_s is {lifetime_s:g}: at most {self.max_lifetime_s:g}")
        now = self._clock()
        made = Identity(
            user=user,
            token_id=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + lifetime_s,
        )
        claims = {
            "sub": made.user,
            "jti": made.token_id,
            "iat": made.issued_at,
            "exp": made.expires_at,
            "iss": self._issuer,
            "aud": self._audience,
        }
        key_id = next(iter(self._keys))
        return jwt.encode(claims, self._keys[key_id], ALGORITHM, {"kid": key_id})

    def verify(self, token: str) -> Identity:
        """Say who shows this token.

        Raises:
            BadCredentials: nobody whom we know.
        """
        if len(token) > self.max_bytes:
            raise BadCredentials("too long")
        if not token.isascii():
            raise BadCredentials("malformed")
        claims = self._claims(token)
        now = self._clock()
        if claims.exp - claims.iat > self.max_lifetime_s:
            raise BadCredentials("lives too long")
        if max(claims.iat, claims.nbf) > now + self.leeway_s:
            raise BadCredentials("not valid yet")
        if claims.exp + self.leeway_s <= now:
            raise BadCredentials("expired")
        try:
            return Identity(
                user=claims.sub,
                token_id=claims.jti,
                issued_at=claims.iat,
                expires_at=claims.exp + self.leeway_s,
            )
        except ValidationError:
            raise BadCredentials("wrong claim") from None

    def _claims(self, token: str) -> _Claims:
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise BadCredentials("unknown key")
            return _Claims.model_validate(
                jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    issuer=self._issuer,
                    options=_OPTIONS,
                )
            )
        except jwt.PyJWTError as error:
            words = (word for kind, word in _WORDS if isinstance(error, kind))
            raise BadCredentials(next(words, "malformed")) from None
        except ValidationError:
            raise BadCredentials("wrong claim") from None
        except (ValueError, RecursionError):
            raise BadCredentials("malformed") from None
