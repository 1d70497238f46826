"""Misspelt words: what was probably meant, and one finding for one mistake."""

from __future__ import annotations

import pytest

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.spec import load_text
from spoutgen.spec.violations import described, dotted, near

STORY = {
    "version": "1",
    "name": "x",
    "image": "x:1",
    "source": "{type: symbol, symbol: x}",
    "marker": "m",
}


def findings(**keys: str | None) -> list[Diagnostic]:
    lines = [f"{key}: {value}\n" for key, value in {**STORY, **keys}.items() if value is not None]
    try:
        return list(load_text("".join(lines), "spout.yaml").warnings)
    except SpecError as error:
        return list(error.diagnostics)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("nmae", "name"),
        ("Name", "name"),
        ("imagee", "image"),
        ("markers", "marker"),
        ("resource", "resources"),
        ("desc", None),
        ("env_", "env"),
        ("secret", "secrets"),
        ("zzz", None),
        ("x" * 1000, None),
        ("", None),
        ("imgae", "image"),
        ("resuorces", "resources"),
        ("descripton", "description"),
        ("desciptoin", "description"),
        ("makers", "marker"),
        ("environment", None),
        ("resolves", None),
        ("retries", None),
    ],
)
def test_near(word: str, meant: str | None) -> None:
    known = ["name", "image", "marker", "resources", "description", "env", "secrets"]
    assert near(word, known) == meant


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("retries", "metrics", None),  # two other letters, of seven, and another beginning
        ("target", "start", None),
        ("partitions", "options", None),
        ("dbname", "names", None),
        ("replication", "publications", None),
        ("password", "password_env", "password_env"),  # the beginning of it
        ("ca_file", "tls_ca_file", "tls_ca_file"),
        ("queue_name", "queue", "queue"),
        ("metrcis", "metrics", "metrics"),
        ("mterics", "metrics", "metrics"),
        ("emtrics", "metrics", "metrics"),
        ("interwal", "interval", "interval"),
        ("max_queu_size", "max_queue_size", "max_queue_size"),
        ("ab", "ba", None),
        ("symbl", "symbol", "symbol"),
    ],
)
def test_near_means_slips_not_letters_in_common(word: str, known: str, meant: str | None) -> None:
    assert near(word, [known]) == meant


def test_near_prefers_what_is_not_there_yet() -> None:
    assert near("nmaer", ["name", "namer"], {"name"}) == "namer"
    assert near("namee", ["name", "namer"], {"name"}) == "name"


@pytest.mark.parametrize("key", list(STORY))
def test_a_misspelt_required_key_is_one_finding(key: str) -> None:
    (finding,) = findings(**{key: None, f"{key[1]}{key[0]}{key[2:]}": STORY[key]})
    assert (finding.code, finding.hint) == ("SG201", f"did you mean `{key}`?")


@pytest.mark.parametrize("key", list(STORY))
def test_a_missing_key_is_one_finding(key: str) -> None:
    (finding,) = findings(**{key: None})
    assert (finding.code, finding.message) == ("SG202", f"`{key}` is missing")


@pytest.mark.parametrize("value", ["5", "[a]", "{a-: b}", "true", "", "text", "yes", "!x y", "*z"])
@pytest.mark.parametrize(
    "key", ["version", "pachyderm", "output", "batch", "env", "secrets", "resources", "pipeline", "source"]
)
def test_a_wrong_value_is_one_finding(key: str, value: str) -> None:
    found = findings(**{key: value})
    assert len({(finding.place and finding.place.line) for finding in found}) == 1
    # A mapping has keys, which are mistakes of their own.
    assert len(found) == 1 or value == "{a-: b}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "empty"),
        (True, "`true`"),
        (5, "the number 5"),
        (1.5, "the number 1.5"),
        ("", "empty text"),
        ("a\nb", '"a\\nb"'),
        ("x" * 50, '"' + "x" * 37 + '..."'),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_described(value: object, text: str) -> None:
    assert described(value) == text


def test_dotted() -> None:
    assert dotted(("secrets", 0, "name")) == "secrets[0].name"
    assert dotted(()) == "the spec"
    assert dotted(("env", "")) == 'env.""'


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("interval", "`interval` belongs under `source:`"),
        ("path", "`path` belongs under `output:`"),
        ("wait", "`wait` belongs under `batch:`"),
        ("prefix", "`prefix` belongs under `marker:`"),
        ("limits", "`limits` belongs under `resources:`"),
        ("memory", "`memory` belongs under `resources.requests:`"),
        ("datum_tries", "fields of the pipeline specification go under `pipeline:`"),
        ("datumTries", "fields of the pipeline specification go under `pipeline:`"),
    ],
)
def test_a_key_in_the_wrong_place(key: str, hint: str) -> None:
    (finding,) = findings(**{key: "x"})
    assert (finding.code, finding.hint) == ("SG201", hint)


def test_hints_for_values_of_the_wrong_type() -> None:
    (finding,) = findings(env="{PORT: 010}")
    assert finding.hint == 'write "010"'  # as it was written, not as it was read
    (finding,) = findings(description="")
    assert finding.hint == "write a value, or remove the key"
    (finding,) = findings(image="")
    assert finding.hint == "write a value"
    (finding,) = findings(secrets="{name: db}")
    assert finding.hint == "begin each item with `- `"
