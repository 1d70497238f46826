"""What a new spec begins with, and what is asked for it."""

import pytest
import yaml

from spoutgen.spec import starter as module
from spoutgen.spec.starter import questions, starter

QUEUE = {
    "required": ["type", "host", "queue", "password_env"],
    "properties": {
        "type": {},
        "host": {"description": "The host."},
        "queue": {"description": "The queue."},
        "user_env": {"description": "The user.", "x-credential": True},
        "password_env": {"description": "The password.", "x-credential": True},
    },
    "x-spoutgen": {"starter": {"host": "localhost", "password_env": "QUEUE_PASSWORD"}},
}
CHOSEN = ("source.type", "queue")


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    before = module.source_schema
    monkeypatch.setattr(module, "source_types", lambda: ("custom", "queue", "symbol"))
    monkeypatch.setattr(module, "source_schema", lambda name: QUEUE if name == "queue" else before(name))


def test_what_is_required_is_asked_for_with_our_own_first_value():
    assert questions([CHOSEN]) == [
        ("source.host", "The host.", "localhost"),
        ("source.queue", "The queue.", ""),
        ("source.password_env", "The password.", "QUEUE_PASSWORD"),
    ]
    assert [key for key, *_ in questions([CHOSEN, ("source.host", "h"), ("source.queue", "q")])] == [
        "source.password_env"
    ]


@pytest.mark.parametrize("settings", [[], [("source.symbol", "*")], [("source.type", "none")]])
def test_nothing_is_asked_of_who_chose_nothing(settings):
    assert questions(settings) == []


def secrets(*settings):
    return yaml.safe_load(starter("My_Queue", [CHOSEN, *settings])).get("secrets")


def test_the_variables_of_credentials_are_provided_by_a_secret():
    assert secrets() == [{"name": "my-queue", "key": "password", "env": "QUEUE_PASSWORD"}]
    assert secrets(("source.user_env", "Q_USER"), ("source.password_env", "PW")) == [
        {"name": "my-queue", "key": "user", "env": "Q_USER"},
        {"name": "my-queue", "key": "pw", "env": "PW"},
    ]


def test_who_gives_secrets_gets_no_others():
    given = [{"name": "a", "key": "b", "env": "QUEUE_PASSWORD"}]
    assert secrets(("secrets", "[{name: a, key: b, env: QUEUE_PASSWORD}]")) == given


def test_a_variable_that_is_none_is_left_to_the_check():
    assert secrets(("source.password_env", "not a name}")) is None


def test_a_type_without_credentials_has_no_secrets():
    assert "secrets" not in starter("dots", [])
