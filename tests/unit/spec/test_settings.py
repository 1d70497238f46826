"""--set: what a value means, and where its mistakes are told."""

from __future__ import annotations

import pytest

from spoutgen.errors import SpecError
from spoutgen.report import as_text
from spoutgen.spec import Spec, load_text

STORY = """\
version: 1
name: x
image: x:1
source:
  type: symbol
  symbol: "."
marker: mymark
env: {A: one}
secrets:
- {name: db, key: k, env: DB}
"""


def spec(*settings: tuple[str, str]) -> Spec:
    return load_text(STORY, "spout.yaml", settings).spec


def report(*settings: tuple[str, str], text: str = STORY) -> str:
    with pytest.raises(SpecError) as caught:
        load_text(text, "spout.yaml", settings)
    return as_text(caught.value.diagnostics)


def test_values_are_read_as_the_schema_wants_them() -> None:
    assert spec(("source.interval", "100ms")).source.options["interval"] == 0.1
    assert spec(("source.symbol", "1")).source.options["symbol"] == "1"
    assert spec(("source.symbol", "*")).source.options["symbol"] == "*"
    assert spec(("env.PORT", "8080")).env == {"A": "one", "PORT": "8080"}
    assert spec(("env.EMPTY", "")).env["EMPTY"] == ""
    assert spec(("output.overwrite", "false")).output.overwrite is False
    assert spec(("resources.limits", "{cpu: 1}")).resources == {"limits": {"cpu": 1}}
    assert spec(("resources.limits.cpu", "0.5")).resources == {"limits": {"cpu": 0.5}}
    assert spec(("secrets.0.key", "other")).secrets[0].key == "other"
    assert spec(("description", "yes: [")).description == "yes: ["
    assert spec(("pipeline.parallelism_spec.constant", "1")).pipeline == {"parallelism_spec": {"constant": 1}}
    assert spec(("pipeline.cache_size", "1")).pipeline == {"cache_size": "1"}


def test_marker() -> None:
    assert spec(("marker", "m")).marker.name == "m"
    assert spec(("marker.prefix", "m")).marker.is_prefix
    assert spec(("marker", "{prefix: m}")).marker.is_prefix
    assert not spec(("marker.prefix", "m"), ("marker", "n")).marker.is_prefix


def test_the_last_one_counts() -> None:
    assert spec(("name", "a"), ("name", "b")).name == "b"


def test_a_setting_can_mend_the_file() -> None:
    broken = STORY.replace('"."', "1").replace("x:1", "x")
    loaded = load_text(broken, "spout.yaml", [("source.symbol", "."), ("image", "x:2")])
    assert loaded.spec.image == "x:2"
    assert loaded.text == broken


def test_findings_stand_in_the_setting() -> None:
    assert report(("source.interval", "100")) == (
        "--set source.interval:1:17: SG204 `source.interval` must be a duration such as 200ms, 30s or 1h30m, not "
        '"100"\n  source.interval=100\n                  ^~~\n  hint: write 100s\n'
    )
    assert report(("sorce.interval", "1s")).splitlines()[:3] == [
        "--set sorce.interval:1:1: SG201 unknown key `sorce`",
        "  sorce.interval=1s",
        "  ^~~~~~~~~~~~~~",
    ]
    assert "resources.limits={cpu: a}\n                         ^\n" in report(("resources.limits", "{cpu: a}"))


def test_findings_of_the_file_come_first_then_those_of_the_settings_in_order() -> None:
    text = report(("source.interval", "1"), ("batch.wait", "1"), text=STORY.replace("x:1", "x"))
    assert [line.split(":")[0] for line in text.splitlines() if " SG" in line] == [
        "spout.yaml",
        "--set source.interval",
        "--set batch.wait",
    ]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("a..b", "1", "SG901"),
        (".", "1", "SG901"),
        ("secrets.5.name", "x", "SG901"),
        ("secrets.name", "x", "SG901"),
        ("env.0", "x", "SG901"),
        ("resources.limits", "[1", "SG104"),
        ("resources.limits", "!!python/none", "SG108"),
        ("output.overwrite", "yes", "SG109"),
        ("output.overwrite", "*x", "SG104"),
        ("output.overwrite", "", "SG203"),
        ("name", "a\ud800", "SG103"),
        ("batch.records", "1\x00", "SG103"),
        ("batch.records", "1\n2: 3", "SG104"),
        ("resources.limits", "[" * 40, "SG102"),
    ],
)
def test_settings_that_are_wrong(key: str, value: str, code: str) -> None:
    assert f" {code} " in report((key, value)).splitlines()[0]


def test_all_settings_that_cannot_be_read_are_told_at_once() -> None:
    text = report(("a..b", "1"), ("resources.limits", "[1"), ("pipeline", "{"))
    assert text.count(" SG") == 3
