"""A token is believed only for what this service can check itself."""

import base64
import json
import secrets

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.auth import BadCredentials, Tokens
from labkit.testing.clock import ManualClock
from tests.auth.conftest import KEY, NOW_S, forge, unsigned


def service(clock=None, keys=None, **options):
    return Tokens(
        keys or {"now": KEY},
        issuer="lab",
        audience="realtime",
        clock=clock or ManualClock(NOW_S),
        **options,
    )


def refusal(token, **options):
    with pytest.raises(BadCredentials) as caught:
        service(**options).verify(token)
    assert str(caught.value) == caught.value.code
    return caught.value.code


def test_what_it_issues_it_verifies():
    """User and end come back, and every token has an id of its own."""
    tokens = service()
    first, second = (tokens.verify(tokens.issue("ada", lifetime_s=60)) for _ in range(2))
    assert (first.user, first.issued_at, first.expires_at) == ("ada", NOW_S, NOW_S + 60)
    assert first.token_id != second.token_id


BAD = {
    "expired": (forge(exp=NOW_S), "expired"),
    "not valid yet": (forge(nbf=NOW_S + 5), "not valid yet"),
    "made in the future": (forge(iat=NOW_S + 5), "not valid yet"),
    "without a signature": (unsigned(), "wrong algorithm"),
    "another algorithm": (forge(alg="HS512", key=b"k" * 64), "wrong algorithm"),
    "another key": (forge(key=b"z" * 32), "wrong signature"),
    "an unknown key id": (forge(kid="other"), "unknown key"),
    "another audience": (forge(aud="billing"), "wrong audience"),
    "several audiences": (forge(aud=["realtime", "billing"]), "wrong audience"),
    "another issuer": (forge(iss="evil"), "wrong issuer"),
    "no end": (forge(exp=None), "missing claim"),
    "no audience": (forge(aud=None), "missing claim"),
    "no user": (forge(sub=None), "missing claim"),
    "no id": (forge(jti=None), "missing claim"),
    "an end that is text": (forge(exp="tomorrow"), "wrong claim"),
    "an end that is true": (forge(exp=True), "wrong claim"),
    "an endless end": (forge(exp=float("inf")), "wrong claim"),
    "an end far away": (forge(exp=NOW_S + 1e6), "lives too long"),
    "a user that is a number": (forge(sub=5), "malformed"),
    "a user that is a topic": (forge(sub="ada:mail"), "wrong claim"),
    "a user with a line break": (forge(sub="ada\nERROR forged"), "wrong claim"),
    "100 kB": ("x" * 100_000, "too long"),
    "not ASCII": ("eyJ\xff.\udc80.x", "malformed"),
    "not a token": ("abc.def", "malformed"),
    "nothing": ("", "malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_in_fixed_words(name):
    """The reason is one of a few words and repeats nothing of the token."""
    token, word = BAD[name]
    assert refusal(token) == word


def test_deep_nesting_is_malformed():
    """A header of 50,000 brackets raises nothing else."""
    deep = base64.urlsafe_b64encode(b"[" * 2_000).rstrip(b"=").decode()
    assert refusal(f"{deep}.e30.x") == "malformed"


@given(st.text(max_size=300))
def test_no_text_raises_anything_else(text):
    """Whatever is shown, the answer is an identity or `BadCredentials`."""
    for shown in (text, f"{text}.{text}.{text}"):
        with pytest.raises(BadCredentials):
            service().verify(shown)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "jti", "iat", "exp", "nbf", "iss", "aud"]),
        st.none()
        | st.booleans()
        | st.floats()
        | st.text(max_size=5)
        | st.integers()
        | st.lists(st.text(max_size=2), max_size=2),
        min_size=1,
    )
)
def test_no_claim_raises_anything_else(claims):
    """A well signed token with claims of any type is refused, or is an identity."""
    token = jwt.encode({}, KEY, "HS256", {"kid": "now"})
    head, _, _ = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    signature = (
        jwt.api_jws.PyJWS().get_algorithm_by_name("HS256").sign(f"{head}.{body}".encode(), KEY)
    )
    signed = f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(BadCredentials):
        service().verify(signed)


def test_leeway_moves_both_ends():
    """A clock that differs by less than the leeway costs nobody anything."""
    tokens = service(leeway_s=5)
    assert tokens.verify(forge(exp=NOW_S - 4)).expires_at == NOW_S + 1
    assert tokens.verify(forge(iat=NOW_S + 4)).user == "ada"
    assert refusal(forge(exp=NOW_S - 5), leeway_s=5) == "expired"


def test_a_new_key_signs_while_the_old_one_still_verifies():
    """Replacing a key logs nobody out, and removing it does."""
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    token = service(keys={"old": old}).issue("ada", lifetime_s=60)
    both = service(keys={"new": new, "old": old})
    assert both.verify(token).user == "ada"
    assert jwt.get_unverified_header(both.issue("ada", lifetime_s=60))["kid"] == "new"
    assert refusal(token, keys={"new": new}) == "unknown key"


def test_a_weak_setup_fails_at_the_start():
    """A short key, no key, a lifetime or a name that cannot be: one sentence each."""
    with pytest.raises(ValueError, match=r"keys\['a'\] has 6 bytes"):
        service(keys={"a": b"secret"})
    with pytest.raises(ValueError, match="keys is empty"):
        Tokens({}, issuer="lab", audience="realtime")
    with pytest.raises(ValueError, match="at most 3600"):
        service().issue("ada", lifetime_s=3601)
    with pytest.raises(ValueError, match="user"):
        service().issue("ada:*", lifetime_s=60)
