"""What a new spec begins with, and what is asked for it."""

import pytest
import yaml

from spoutgen.spec import load_text
from spoutgen.spec.schema import source_schema, source_types
from spoutgen.spec.starter import completed, fault, missing, next_question, starter

RABBITMQ = ("source.type", "rabbitmq")
KAFKA = ("source.type", "kafka")
POSTGRES = ("source.type", "postgres")


def asked(*settings, answers=None):
    """The keys that are asked for one after the other, each answered by ``answers``, else the schema's example."""
    given, keys = list(settings), []
    while question := next_question("orders", given):
        keys.append(question.key)
        example = source_schema(dict(settings)["source.type"])["properties"][question.key.split(".")[1]]["examples"][0]
        given.append((question.key, (answers or {}).get(question.key) or question.first or str(example)))
    return keys


def test_what_is_required_is_asked_for_with_our_own_first_value():
    given = [RABBITMQ, ("source.mode", "queue"), ("source.host", "h"), ("source.user", "u")]
    question = next_question("orders", given)
    assert (question.key, question.first) == ("source.queue", "")
    assert question.description.startswith("The queue or stream.")
    question = next_question("orders", [*given, ("source.queue", "q")])
    assert (question.key, question.first) == ("source.password_env", "RABBITMQ_PASSWORD")
    assert next_question("orders", [*given, ("source.queue", "q"), ("source.password_env", "PW")]) is None


def test_what_is_required_can_depend_on_an_answer():
    login = ["source.mode", "source.host", "source.database", "source.user"]
    assert asked(POSTGRES) == [*login, "source.table", "source.key"]
    assert asked(POSTGRES, answers={"source.mode": "log"}) == [*login, "source.slot", "source.publications"]
    assert asked(POSTGRES, ("source.query", "SELECT 1")) == [*login, "source.key"]
    assert asked(KAFKA) == ["source.servers", "source.topics"]
    assert asked(KAFKA, ("source.pattern", "a.*")) == ["source.servers"]
    assert asked(KAFKA, ("source.sasl", "plain")) == [
        "source.servers", "source.topics", "source.user_env", "source.password_env",
    ]  # fmt: skip


@pytest.mark.parametrize("settings", [[], [("source.symbol", "*")], [("source.type", "none")]])
def test_nothing_is_asked_of_who_chose_nothing(settings):
    assert next_question("orders", settings) is None
    assert missing("orders", settings) == []


def test_a_key_that_is_misspelt_is_not_missing_too():
    assert missing("orders", [KAFKA, ("source.topcis", "[a]"), ("source.servers", "a:1")]) == []


@pytest.mark.parametrize("kind", source_types())
def test_the_command_line_that_is_shown_makes_a_spec(kind):
    full = completed("orders", [("source.type", kind)])
    assert full[0] == ("source.type", kind)
    assert load_text(starter("orders", full), "spout.yaml").spec.source.type == kind
    assert [key for key, _ in full[1:]] == [
        key for key in asked(("source.type", kind)) if not next_first(kind, key)
    ]  # and nothing else is in it


def next_first(kind, key):
    return source_schema(kind)["x-spoutgen"].get("starter", {}).get(key.removeprefix("source."))


def test_no_credential_is_shown_again():
    full = completed("orders", [KAFKA, ("source.password", "hunter2"), ("source.settings.client.id", "a")])
    assert "hunter2" not in str(full)
    assert ("source.settings.client.id", "a") in full
    assert "hunter2" not in str(completed("orders", [KAFKA, ("secrets", "[{name: a, password: hunter2}]")]))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("source.servers", "nowhere", "`source.servers` must be host:port"),
        ("source.topics", "orders", "`source.topics` must be a list of topics"),
        ("source.topics", "[a b]", "`source.topics[0]` must be a topic's name"),
        ("source.topics", "[a", "a comma or `]` is missing here"),
        ("source.topics", "[a]", None),
    ],
)
def test_an_answer_that_is_wrong(key, value, says):
    found = fault("orders", [KAFKA, (key, value)], key)
    assert found is None if says is None else says in found.message


def secrets(*settings):
    return yaml.safe_load(starter("My_Queue", settings)).get("secrets")


def test_the_variables_of_credentials_are_provided_by_a_secret():
    assert secrets(RABBITMQ) == [{"name": "my-queue", "key": "password", "env": "RABBITMQ_PASSWORD"}]
    assert secrets(KAFKA, ("source.user_env", "Q_USER"), ("source.password_env", "PW")) == [
        {"name": "my-queue", "key": "user", "env": "Q_USER"},
        {"name": "my-queue", "key": "pw", "env": "PW"},
    ]


def test_who_gives_secrets_gets_no_others():
    given = [{"name": "a", "key": "b", "env": "RABBITMQ_PASSWORD"}]
    assert secrets(RABBITMQ, ("secrets", "[{name: a, key: b, env: RABBITMQ_PASSWORD}]")) == given


def test_a_variable_that_is_none_is_left_to_the_check():
    assert secrets(RABBITMQ, ("source.password_env", "not a name}")) is None


def test_a_type_without_credentials_has_no_secrets():
    assert "secrets" not in starter("dots", [])
