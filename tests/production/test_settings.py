"""What cannot work does not start, and says why."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import labkit
from labkit.production import settings as module
from labkit.production.settings import OTHERS, BadSettings, Settings, load

PACKAGE = Path(labkit.__file__).parent
SECRET = "s" * 32


def refused(monkeypatch, **environment):
    """Load with this environment; return the lines of the refusal."""
    for name, value in environment.items():
        monkeypatch.setenv(f"LABKIT_{name}", value)
    with pytest.raises(BadSettings) as error:
        load()
    return error.value.lines


@pytest.mark.parametrize(
    ("name", "given", "must"),
    [
        ("PORT", "zero", "it must be a valid integer"),
        ("PORT", "", "it must be a valid integer"),
        ("PORT", "70000", "it must be less than or equal to 65535"),
        ("WORKERS", "0", "it must be greater than or equal to 1"),
        ("MAX_CONNECTIONS", "-5", "it must be greater than or equal to 1"),
        ("PING_INTERVAL_S", "0", "it must be greater than 0"),
        ("IDLE_TIMEOUT_S", "nan", "it must be"),
        ("LOG_LEVEL", "loud", "it must be 'debug', 'info', 'warning' or 'error'"),
        ("DEMO_LOGIN", "perhaps", "it must be a valid boolean"),
        ("LOGINS", "many", "write it as '60/minute'"),
        ("ORIGINS", "app.example", "write scheme and host of each"),
    ],
)
def test_a_wrong_value_is_told_by_name_value_and_cure(monkeypatch, name, given, must):
    """One line, as a person types it."""
    (line,) = refused(monkeypatch, **{name: given})
    assert line.startswith(f"LABKIT_{name} is {given!r}: ")
    assert must in line


def test_all_wrong_values_are_told_at_once(monkeypatch):
    """Nobody starts it five times to find five mistakes."""
    lines = refused(monkeypatch, PORT="x", WORKERS="y", MAX_CONECTIONS="3")
    assert [line.split()[0] for line in lines] == [
        "LABKIT_MAX_CONECTIONS", "LABKIT_PORT", "LABKIT_WORKERS",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given"), [("SECRET", "short"), ("REDIS_URL", "http://user:pass@there")]
)
def test_a_secret_is_in_no_message_and_no_repr(monkeypatch, name, given):
    """Not in the refusal, not in what is printed by mistake."""
    (line,) = refused(monkeypatch, **{name: given})
    assert line.startswith(f"LABKIT_{name} cannot be used: it must")
    assert given not in line
    monkeypatch.delenv(f"LABKIT_{name}")
    assert SECRET not in repr(load(secret=SECRET))


@pytest.mark.parametrize(
    "given",
    [
        "redis://there:x", "redis://there:99999", "redis://[::1", "redis://there?colour=blue",
        "redis+cluster://", "redis+cluster://there/3", "redis+cluster://:pass@there?colour=blue",
    ],
)  # fmt: skip
def test_a_broker_s_address_that_nobody_can_use_ends_the_start(monkeypatch, given):
    """Not the first connection, and not with a traceback."""
    (line,) = refused(monkeypatch, REDIS_URL=given)
    assert line.startswith("LABKIT_REDIS_URL cannot be used: it must be like redis://")
    assert given not in line


@pytest.mark.parametrize(
    "given",
    [
        "redis://there", "rediss://u:p%40@there:1/2?socket_timeout=3", "unix:///run/valkey.sock",
        "redis+cluster://u:p%40@there:1",
    ],
)  # fmt: skip
def test_every_kind_of_address_is_taken(given):
    """Of one server, with TLS, on this machine, of a cluster."""
    assert load(redis_url=given).redis_url.get_secret_value() == given


def test_an_unknown_name_is_a_mistake_and_the_likely_one_is_named(monkeypatch):
    """A typo would be a default in disguise."""
    assert refused(monkeypatch, MAX_CONECTIONS="3") == [
        "LABKIT_MAX_CONECTIONS is no setting: did you mean LABKIT_MAX_CONNECTIONS?"
    ]


def test_names_of_the_workbench_are_left_alone(monkeypatch):
    """They begin alike."""
    for name in OTHERS:
        monkeypatch.setenv(name, "1")
    load()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"host": "0.0.0.0"}, "LABKIT_DEMO_LOGIN is on, and LABKIT_HOST lets others in"),
        ({"demo_login": False}, "LABKIT_SECRET is missing"),
        ({"idle_timeout_s": 40}, "LABKIT_IDLE_TIMEOUT_S is 40: it must be more than twice"),
        ({"max_per_user": 9, "max_connections": 8}, "LABKIT_MAX_PER_USER is 9"),
    ],
)
def test_values_that_do_not_go_together_are_refused(given, line):
    """Each alone is fine."""
    with pytest.raises(BadSettings, match=line):
        load(**given)


def test_production_without_the_demonstration_starts():
    """Open to others, with a secret."""
    assert load(host="::", demo_login=False, secret=SECRET).secret is not None
    assert load(host="localhost").demo_login


def test_nothing_changes_afterwards():
    """Nobody wonders which value was in force."""
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 9


def test_the_environment_is_read_and_an_argument_goes_before_it(monkeypatch):
    """As with any command."""
    monkeypatch.setenv("LABKIT_PORT", "81")
    monkeypatch.setenv("LABKIT_ORIGINS", "https://a.example, https://b.example:8443")
    assert load().port == 81
    assert load(port=82).port == 82
    assert load().own_origins == ("https://a.example", "https://b.example:8443")
    assert load(origins=()).own_origins == ("http://127.0.0.1:81", "http://localhost:81")


def test_every_setting_is_used_somewhere():
    """A number that nobody reads is a lie."""
    read = set()
    for file in (PACKAGE / "production").glob("*.py"):
        for function in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not (
                file.name == "settings.py" and function.name == "_go_together"
            ):
                read |= {
                    each.attr for each in ast.walk(function) if isinstance(each, ast.Attribute)
                }
    assert set(Settings.model_fields) <= read


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_reason_and_a_unit(name):
    """The unit is in the name of what is measured."""
    field = Settings.model_fields[name]
    assert field.description
    assert not isinstance(field.default, float) or name.endswith("_s")


def test_other_names_are_those_in_the_house():
    """Whoever adds a variable to the workbench meets this test."""
    found = set()
    for file in (*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "tests").rglob("*.py")):
        if "production" not in str(file):
            found |= set(re.findall(r"\bLABKIT_[A-Z_]+\b", file.read_text("utf-8")))
    assert found - {module.PREFIX + name.upper() for name in Settings.model_fields} == OTHERS
