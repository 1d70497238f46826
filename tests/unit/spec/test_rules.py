"""Rules: what is right as well as what is wrong. The bad examples in tests/golden show most findings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import SpecError
from spoutgen.spec import LoadedSpec, load_text, output_rules, rules
from spoutgen.spec.image import problem_of
from spoutgen.spec.rules import RESERVED_VARIABLES, RULES

DIGEST = "sha256:" + "0123456789abcdef" * 4


def load(**keys: Any) -> LoadedSpec:
    data = {"version": 1, "name": "x", "image": "x:1", "source": {"type": "symbol", "symbol": "x"}, "marker": "mymark"}
    return load_text(json.dumps({**data, **keys}), "spout.yaml")


def codes(**keys: Any) -> list[str]:
    try:
        return [finding.code for finding in load(**keys).warnings]
    except SpecError as error:
        return [finding.code for finding in error.diagnostics]


@pytest.mark.parametrize(
    "image",
    [
        *(
            "spout:v1",
            "team/spout:1.0.0",
            "registry.example.com/team/spout:v1",
            "localhost/spout:v1",
            "LOCAL:5000/spout:v1",
        ),
        *("registry:5000/spout:v1", "a/b/c/d:v1", "a__b.c-d--e:V1_x.y-z", f"spout@{DIGEST}", f"spout:latest@{DIGEST}"),
        f"registry:5000/spout:v1@{DIGEST}",
    ],
)
def test_images_that_last(image: str) -> None:
    assert problem_of(image) is None


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("spout", "no tag"),
        ("registry:5000/spout", "no tag"),
        ("registry:5000/spout:latest", "latest"),
        ("spout:", "tag that is not legal"),
        ("spout:-v1", "tag that is not legal"),
        ("spout:" + "v" * 129, "tag that is not legal"),
        ("spout:v1:v2", "tag that is not legal"),
        ("spout@sha256:" + "g" * 64, "digest"),
        ("spout@", "digest"),
        ("", "is not an image"),
        ("/spout:v1", "no legal part"),
        ("team//spout:v1", "no legal part"),
        ("spout_:v1", "no legal part"),
        ("-registry.io/spout:v1", "registry"),
        ("Team/spout:v1", "upper-case"),
        ("docker://spout:v1", "URL"),
        ("s" * 256 + ":v1", "is not an image"),
        ("spout:v1\n", "tag that is not legal"),
    ],
)
def test_images_that_do_not(image: str, problem: str) -> None:
    found = problem_of(image)
    assert found
    assert problem in found[0]


@given(st.text(max_size=80))
def test_no_image_is_too_strange(image: str) -> None:
    problem_of(image)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"name": "x" * 50}, []),
        ({"name": "x" * 51}, ["SG302"]),
        ({"name": "x" * 51, "pachyderm": 2}, []),
        ({"name": "x" * 52, "pachyderm": 2}, ["SG302"]),
        ({"project": "team"}, ["SG309"]),
        ({"project": "team", "pachyderm": 2}, []),
        ({"project": "p" * 20, "name": "x" * 38, "pachyderm": 2}, []),
        ({"project": "p" * 20, "name": "x" * 39, "pachyderm": 2}, ["SG302"]),
    ],
)
def test_names(keys: dict[str, Any], expected: list[str]) -> None:
    assert codes(**keys) == expected


@pytest.mark.parametrize("marker", ["mymark", "a", "my.mark", "my-mark_1", "outer", "m:1", "a,b", "x" * 200])
def test_markers(marker: str) -> None:
    assert load(marker=marker, output={"path": "zzz"}).spec.marker.name == marker
    assert load(marker={"name": marker}, output={"path": "zzz"}).spec.marker.is_prefix is False
    assert load(marker={"prefix": marker}, output={"path": "zzz"}).spec.marker.is_prefix is True


@pytest.mark.parametrize(
    "marker", ["out", "", ".", "..", "a/b", "a b", "a\tb", "é", "a*", "a(1)", "a@b", "x" * 201, "a\n"]
)
def test_markers_that_are_none(marker: str) -> None:
    assert codes(marker=marker) == ["SG303"]
    assert codes(marker={"prefix": marker}) == ["SG303"]


@pytest.mark.parametrize(
    "path",
    ["output", "a/b/c.txt", "data/{first}-{last}.txt", "{first}", "a b:c#d%e&f=g~$h,i;j", "a/mymark", "my", ".x"],
)
def test_output_paths(path: str) -> None:
    assert codes(output={"path": path}) == []


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/a",
            "a/",
            "a//b",
            "a/./b",
            "a/..",
            "..",
            ".",
            "a*",
            "a?",
            "a[0]",
            "a!",
            "a(1)",
            "a@b",
            "a+b",
            "a^",
            "a\nb",
            "é",
        ),
        *("{}", "{second}", "{first", "first}", "{{first}}", "a\x7f", "x" * 1001),
    ],
)
def test_output_paths_that_are_none(path: str) -> None:
    assert codes(output={"path": path}) == ["SG304"]


@pytest.mark.parametrize(
    ("marker", "path", "expected"),
    [
        ("mymark", "mymark", ["SG305"]),
        ("mymark", "mymark01", ["SG305"]),
        ("mymark", "mymark/a", ["SG305"]),
        ("mymark", "mymark{first}", ["SG305"]),
        ("mymark", "mymar{first}", []),
        ("mymark1", "mymark{first}", ["SG305"]),
        ("1", "{first}", ["SG305"]),
        ("1", "a{first}", []),
        ("1", "1{first}", ["SG305"]),
        ("MYMARK", "mymark", []),
    ],
)
def test_output_is_not_the_marker(marker: str, path: str, expected: list[str]) -> None:
    assert codes(marker=marker, output={"path": path}) == expected
    assert codes(marker={"prefix": marker}, output={"path": path}) == expected


KAFKA = {"type": "kafka", "servers": "k:9093", "topics": ["orders", "pay.ments"]}
PATTERN = {"type": "kafka", "servers": "k:9093", "pattern": "o.*"}
CURSOR = {
    "type": "postgres", "mode": "cursor", "host": "h", "database": "d", "user": "u", "table": "s.orders", "key": ["id"],
}  # fmt: skip
LOG = {
    "type": "postgres", "mode": "log", "host": "h", "database": "d", "user": "u", "slot": "s", "publications": ["p"],
}  # fmt: skip
FILES = {"type": "file", "files": "/var/log/*.log"}
CUSTOM = {"type": "custom"}
EACH = "{topic}/{partition}/{first}"


@pytest.mark.parametrize(
    ("source", "marker", "path", "expected"),
    [
        (CUSTOM, "mymark", "{first}", ["SG305"]),
        (CUSTOM, "mymark", "my{first}", ["SG305"]),
        (CUSTOM, "mymark", "records/{first}", []),
        (CUSTOM, "my|mark", "{first}", []),  # no value ever has this character
        (CUSTOM, "mymark", "{date}/{first}", []),
        (CUSTOM, "2026", "{date}/{first}", ["SG305"]),
        (CUSTOM, "2026mark", "{date}{first}", ["SG305"]),
        (CUSTOM, "mymark", "{date}{first}", []),
        (CUSTOM, "m", "{hour}-{key}", ["SG304"]),
        (CUSTOM, "m", "{key}/{first}", ["SG305"]),
        (KAFKA, "mymark", EACH, []),
        (KAFKA, "orders", EACH, ["SG305"]),
        (KAFKA, "orders/", EACH, ["SG303"]),
        (KAFKA, "ordersx", EACH, []),
        (KAFKA, "pay", EACH, ["SG305"]),
        (KAFKA, "pay.ments-0", "{topic}-{partition}/{first}", ["SG305"]),
        (KAFKA, "pay.ments-a", "{topic}-{partition}/{first}", []),
        (KAFKA, "mymark", "{first}-{topic}-{partition}", []),
        (KAFKA, "00", "{first}-{topic}-{partition}", ["SG305"]),
        (PATTERN, "mymark", EACH, ["SG305"]),
        (PATTERN, "mymark", "t-" + EACH, []),
        (CURSOR, "mymark", "{table}/{first}", []),
        (CURSOR, "s.o", "{table}/{first}", ["SG305"]),
        (CURSOR, "mymark", "{first}", ["SG305"]),
        ({**CURSOR, "table": "s.oö"}, "s.om", "{table}/{first}", []),
        ({**CURSOR, "table": "s.oö"}, "s.o%C3", "{table}/{first}", ["SG305"]),
        (LOG, "mymark", "{table}/{first}", ["SG305"]),
        (LOG, "mymark", "{first}", []),
        (LOG, "BAD", "{first}", ["SG305"]),
        (FILES, "mymark", "{first}-{file}", []),
        (FILES, "mymark", "{file}/{first}", ["SG305"]),
    ],
)
def test_what_records_can_be_called_decides(source: Any, marker: str, path: str, expected: list[str]) -> None:
    assert codes(source=source, marker=marker, output={"path": path}) == expected


def test_records_that_are_split_have_dots_in_their_names() -> None:
    assert codes(source=KAFKA, marker="1.x", output={"path": "{first}.{topic}{partition}"}) == []
    assert codes(source=KAFKA, marker="1.2", output={"path": "{first}{topic}{partition}"}) == []
    assert codes(source=KAFKA, marker="1.2", output={"path": "{first}{topic}{partition}"}, transform=True) == ["SG305"]


def is_refused(**keys: Any) -> bool:
    try:
        load(**keys)
    except SpecError:
        return True
    return False


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mymark-data/{first}", []),
        ("mymarket/{first}", []),
        ("mymark{first}", ["SG305"]),
        ("mymark.{first}", ["SG305"]),
        ("mymark/{first}", ["SG305"]),
        ("my{hour}.{first}", []),
    ],
)
def test_on_2_only_the_marker_itself_what_is_in_it_and_its_parts(path: str, expected: list[str]) -> None:
    wrong = [code for code in codes(pachyderm=2, output={"path": path}) if code != "SG305"]
    assert wrong == []
    assert is_refused(pachyderm=2, output={"path": path}) == bool(expected)
    assert is_refused(output={"path": path}) == path.startswith("mymark")


@pytest.mark.parametrize("path", ["data", "{date}", "{key}", "{date}/{hour}"])
def test_a_batch_does_not_replace_the_one_before_unless_that_is_meant(path: str) -> None:
    assert codes(source=CUSTOM, output={"path": f"a/{path}"}) == ["SG304"]
    assert codes(source=CUSTOM, output={"path": f"a/{path}", "overwrite": True}) == []
    assert codes(source=CUSTOM, output={"path": f"a/{path}", "overwrite": False}) == ["SG310"]
    assert codes(source=CUSTOM, output={"path": f"a/{path}/{{last}}"}) == []
    assert codes(output={"path": "data"}) == []  # each line of a pyramid has all those before


def test_files_need_a_field() -> None:
    assert codes(output={"path": "a", "format": "files"}) == ["SG304"]
    assert codes(output={"path": "a{last}", "format": "files"}) == []


@pytest.mark.parametrize("name", [*sorted(RESERVED_VARIABLES)[:3], "SPOUT_X", "PACH_X", "PPS_X"])
def test_reserved_variables(name: str) -> None:
    assert codes(env={name: "x"}) == ["SG307"]
    assert codes(secrets=[{"name": "db", "key": "k", "env": name}]) == ["SG307"]


def test_variables_that_only_look_reserved() -> None:
    assert codes(env={"SPOUT": "x", "MY_PACH_X": "x", "pach_x": "x", "port": "x"}) == []


@pytest.mark.parametrize(
    "mount", ["/pfs/x", "/pfs", "/app", "/app/x", "/pach-bin", "/pach", "/proc/1", "/a/../b", "/a/./b"]
)
def test_mounts_that_are_taken(mount: str) -> None:
    assert codes(secrets=[{"name": "db", "mount": mount}]) == ["SG309"]


def test_mounts() -> None:
    assert codes(secrets=[{"name": "db", "mount": "/secrets/db"}, {"name": "tls", "mount": "/pfs2"}]) == []
    assert codes(secrets=[{"name": "db", "mount": "/a"}, {"name": "tls", "mount": "/a/b"}]) == ["SG309"]
    assert codes(secrets=[{"name": "db", "mount": "/a"}, {"name": "db", "mount": "/b"}]) == ["SG309"]
    assert codes(secrets=[{"name": "db", "key": "a", "env": "A"}, {"name": "db", "key": "b", "env": "B"}]) == []


def test_requests_and_limits() -> None:
    assert codes(resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1.0, "memory": "1GiB"}}) == []
    assert codes(resources={"requests": {"memory": "1001M"}, "limits": {"memory": "1G"}}) == ["SG309"]
    assert load(resources={"limits": {"memory": "64MiB", "disk": "1G"}}).spec.resources == {
        "limits": {"memory": "64Mi", "disk": "1G"}
    }


def test_appending_is_a_warning() -> None:
    (warning,) = load(output={"overwrite": False}).warnings
    assert (warning.code, warning.severity) == ("SG310", "warning")


@pytest.mark.parametrize(
    "symbol",
    [
        *(
            ".",
            "*",
            " ",
            "  ",
            "é",
            "語",
            "😀",
            "👨\u200d👩\u200d👧",
            "🏴\U000e0067\U000e007f",
            "e\u0301",
            "\u00a0",
            "\u3000",
        ),
        *("{{ x }}", "'''", '"; import os', "$(id)", "\\", "\\n", "x" * 64, "\U0003fffe", "\ufe0f", "\ue000"),
    ],
)
def test_symbols(symbol: str) -> None:
    assert load(source={"type": "symbol", "symbol": symbol}).spec.source.options["symbol"] == symbol


@pytest.mark.parametrize(
    "symbol",
    ["", "\n", "a\rb", "\t", "\x00", "\x1b[0m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\xad", "x" * 65],
)
def test_symbols_that_are_none(symbol: str) -> None:
    assert codes(source={"type": "symbol", "symbol": symbol}) == ["SG204"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"output": {"path": "mymark/{first}"}}, ["SG305"]),
        ({"output": {"path": "mymark01"}}, ["SG305"]),
        ({"output": {"path": "data/{first}"}}, []),
        ({"output": {"path": "{first}.txt"}}, []),
        ({"output": {"path": "{first}"}}, ["SG305"]),
        ({"output": {"path": "data/{first}", "overwrite": False}}, ["SG309"]),
    ],
)
def test_data_and_marker_stand_side_by_side_on_2(keys: dict[str, Any], expected: list[str]) -> None:
    assert codes(pachyderm=2, **keys) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"schedulingSpec": {"nodeSelector": {"disk": "ssd"}}, "podPatch": "[]", "parallelismSpec": {"constant": 1}},
            [],
        ),
        ({"scheduling_spec": {}}, ["SG308"]),
        ({"spout": {"marker": "m"}}, ["SG308"]),
        ({"spout": {"overwrite": True}}, ["SG308"]),
        ({"pipeline": {"name": "y"}}, ["SG308"]),
        ({"input": {"pfs": {}}}, ["SG308"]),
        ({"s3Out": True}, ["SG308"]),
        ({"autoscaling": True}, ["SG308"]),
        ({"transform": {"acceptReturnCode": [1]}}, ["SG308"]),
        ({"transform": {"user": "1000"}}, []),
        ({"podSpec": "{"}, ["SG308"]),
        ({"datumTries": 3}, ["SG308"]),
        ({"datumTimeout": "forever"}, ["SG204"]),
        ({"tolerations": [{"key": "k", "operator": "EQUAL", "value": "v", "effect": "NO_EXECUTE"}]}, []),
        ({"tolerations": [{"effect": "NoExecute"}]}, ["SG204"]),
    ],
)
def test_pipeline_fields_of_2(part: dict[str, Any], expected: list[str]) -> None:
    assert codes(pachyderm=2, pipeline=part) == expected


def test_every_rule_has_something_to_say() -> None:
    """Each rule is the only one to object to something: none can be taken out of the table unnoticed."""
    objections: dict[str, dict[str, Any]] = {
        "image_is_pinned": {"image": "x"},
        "name_is_short_enough": {"name": "x" * 51},
        "name_fits_into_project": {"pachyderm": 2, "project": "p" * 20, "name": "x" * 39},
        "project_fits_target": {"project": "p"},
        "output_path_is_legal": {"output": {"path": "/x"}},
        "batches_are_kept": {"source": {"type": "custom"}, "output": {"path": "data"}},
        "output_is_not_marker": {"marker": "output"},
        "dead_letters_are_kept": {"output": {"on_error": "dead_letter", "dead_letters": "dead"}},
        "glob_leaves_marker_out": {"pachyderm": 2, "output": {"path": "{first}"}},
        "variables_are_free": {"env": {"PACH_X": "x"}},
        "mounts_are_free": {"secrets": [{"name": "db", "mount": "/pfs"}]},
        "requests_are_within_limits": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}},
        "overwrite_keeps_guarantee": {"output": {"overwrite": False}},
        "symbol_is_printable": {"source": {"type": "symbol", "symbol": "\n"}},
        "symbol_makes_batches_of_one": {"batch": {"records": 2}},
        "patterns_are_regular_expressions": {"filter": {"include": [{"pointer": "/key", "matches": "("}]}},
    }
    needs_a_type = {"credentials_come_from_secrets"}  # one with a login: test_credentials_come_from_secrets
    assert [*objections] == [rule.__name__ for rule in RULES if rule.__name__ not in needs_a_type]
    for keys in objections.values():
        assert len(codes(**keys)) == 1


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ([], ["SG309"]),
        ([{"name": "db", "key": "k", "env": "OTHER"}], ["SG309"]),
        ([{"name": "db", "key": "k", "env": "PW"}], []),
    ],
)
def test_credentials_come_from_secrets(
    monkeypatch: pytest.MonkeyPatch, secrets: list[Any], expected: list[str]
) -> None:
    real = rules.source_schema

    def with_login(source_type: str) -> Any:
        schema = real(source_type)
        return {**schema, "properties": {**schema["properties"], "symbol": {"x-credential": True}}}

    monkeypatch.setattr(rules, "source_schema", with_login)
    assert codes(source={"type": "symbol", "symbol": "PW"}, secrets=secrets) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/{topic}/{first}", []),
        ("data/{first}", ["SG304"]),
        ("data/{topic}/{key}/{date}/{hour}-{last}", []),
        ("data/{topic}/{partition}", ["SG304"]),
    ],
)
def test_a_path_keeps_the_partitions_of_the_source_apart(
    monkeypatch: pytest.MonkeyPatch, path: str, expected: list[str]
) -> None:
    real = output_rules.source_schema

    def with_field(source_type: str) -> Any:
        schema = real(source_type)
        return {**schema, "x-spoutgen": {**schema["x-spoutgen"], "fields": ["topic"]}}

    monkeypatch.setattr(output_rules, "source_schema", with_field)
    assert codes(output={"path": path}) == expected
