"""validate, schema, sources and set as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from spoutgen.cli.main import main
from spoutgen.spec import schema
from spoutgen.spec.schema import bundle

STORY = """\
# the story
version: 1
name: spoutmarker
image: spout-marker:v1
source:
  type: symbol
  symbol: "."
  interval: 30s
marker: mymark
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spout.yaml").write_text(STORY)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    output = capsys.readouterr()
    return status, output.out, output.err


def test_validate(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "validate") == (0, "spout.yaml: ok\n", "")
    assert run(capsys, "validate", "spout.yaml", str(project)) == (
        0,
        f"spout.yaml: ok\n{project}/spout.yaml: ok\n",
        "",
    )


def test_validate_reports_all_specs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "bad.yaml").write_text(STORY.replace("30s", "30"))
    (project / "worse.yaml").write_text("name: [")
    (project / "doubtful.yaml").write_text(STORY + "output: {overwrite: false}\n")
    status, out, err = run(capsys, "validate", "bad.yaml", "spout.yaml", "gone.yaml", "worse.yaml", "doubtful.yaml")
    assert status == 1
    assert out == "spout.yaml: ok\ndoubtful.yaml: ok\n"
    assert [line.split(":")[0] for line in err.splitlines() if " SG" in line] == [
        *("bad.yaml", "gone.yaml", "worse.yaml", "doubtful.yaml")
    ]


def test_validate_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "bad.yaml").write_text(STORY.replace("30s", "30"))
    status, out, err = run(capsys, "validate", "--format", "json", "bad.yaml", "spout.yaml")
    assert (status, err) == (1, "")
    (finding,) = json.loads(out)["diagnostics"]
    assert finding == {
        **{"file": "bad.yaml", "line": 8, "column": 13, "width": 2, "code": "SG203", "severity": "error"},
        "message": "`source.interval` must be a duration such as 200ms, 30s or 1h30m, not the number 30",
        "hint": "write 30s",
    }
    assert run(capsys, "validate", "--format", "json") == (0, '{\n  "diagnostics": []\n}\n', "")
    status, out, _ = run(capsys, "validate", "--format", "json", "gone.yaml")
    assert (status, json.loads(out)["diagnostics"][0]["code"]) == (1, "SG101")


def test_a_warning_is_no_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "spout.yaml").write_text(STORY + "output: {overwrite: false}\n")
    status, out, err = run(capsys, "validate")
    assert (status, out) == (0, "spout.yaml: ok\n")
    assert "SG310 warning:" in err


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "schema")
    assert status == 0
    assert json.loads(out) == bundle()
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
    status, out, _ = run(capsys, "schema", "symbol")
    assert (status, json.loads(out)["title"]) == (0, "source.type: symbol")


def test_schema_of_no_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "schema", "symbl") == (
        *(2, ""),
        "SG901 no source type `symbl`\n  hint: did you mean `symbol`?\n",
    )
    assert run(capsys, "schema", "../spec-1")[0] == 2


def test_set(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "set", "source.symbol=*", "image=spout-marker:v2", "env.A=x=y") == (
        0,
        'source.symbol: "." -> "*"\nimage: "spout-marker:v1" -> "spout-marker:v2"\nenv.A: (unset) -> "x=y"\n',
        "",
    )
    edited = STORY.replace('"."', '"*"').replace(":v1", ":v2") + "env:\n  A: x=y\n"
    assert (project / "spout.yaml").read_text() == edited
    assert run(capsys, "set", "source.symbol=*")[1] == 'source.symbol: "*" (as before)\n'
    assert (project / "spout.yaml").read_text() == edited


def test_set_elsewhere(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert run(capsys, "set", "source.symbol=*", str(project))[0] == 0
    assert run(capsys, "set", str(project / "spout.yaml"), "source.symbol=+")[0] == 0
    assert '"+"' in (project / "spout.yaml").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["image=untagged"],
        ["source.symbol=*", "source.intervall=1s"],
        ["source.interval=1"],
        ["env.DB_PASSWORD=hunter2"],
        ["secrets.0.name=x"],
    ],
)
def test_set_writes_nothing_that_is_wrong(project: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    before = (project / "spout.yaml").stat()
    status, out, err = run(capsys, "set", *words)
    assert (status, out) == (1, "")
    assert " SG" in err
    assert "hunter2" not in err
    assert (project / "spout.yaml").read_text() == STORY
    assert (project / "spout.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_set_keeps_bytes_that_are_not_its_business(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = ("\ufeff" + STORY.replace("\n", "\r\n").removesuffix("\r\n") + "   # é").encode()
    (project / "spout.yaml").write_bytes(raw)
    assert run(capsys, "set", "source.interval=5s")[0] == 0
    assert (project / "spout.yaml").read_bytes() == raw.replace(b"30s", b"5s")


def test_set_needs_a_setting_and_one_folder(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["."], ["a=b", ".", "."], []):
        status, out, err = run(capsys, "set", *words)
        assert (status, out) == (2, "")
        assert err


def test_output_is_utf_8_wherever_it_runs(project: Path) -> None:
    """Not what the locale says: a pipe's reader must get the same bytes everywhere, and a strange name no traceback."""
    strange = os.fsdecode(b"sp\xffut.yaml")
    (project / strange).write_text(STORY)
    root = str(Path(__file__).parents[3])
    env = {**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "ascii"}
    for words, expected in (
        (["validate", strange], b"sp\\udcffut.yaml: ok\n"),
        (["set", "source.symbol=\u00e9"], 'source.symbol: "." -> "\u00e9"\n'.encode()),
    ):
        done = subprocess.run([sys.executable, "-m", "spoutgen", *words], env=env, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_sources_lists_the_types_with_a_line_each(capsys):
    status, out, _ = run(capsys, "sources")
    assert status == 0
    assert [line.split("  ")[0].strip() for line in out.splitlines()] == list(schema.source_types())
    assert "symbol" in out
    assert "A half pyramid" in out
    status, out, _ = run(capsys, "sources", "--format", "json")
    assert [each["type"] for each in json.loads(out)] == list(schema.source_types())
    assert all(each["description"] for each in json.loads(out))


def test_a_source_s_options_as_its_schema_has_them(capsys):
    status, out, _ = run(capsys, "sources", "symbol")
    assert status == 0
    assert "symbol (required)\n  1 to 64 printable characters\n" in out
    assert "interval (default: 30s)\n" in out
    assert "batch          records: 1\n" in out
    assert "requirements   none\n" in out


@pytest.mark.parametrize("kind", schema.source_types())
def test_each_source_s_options_as_json(capsys, kind):
    status, out, _ = run(capsys, "sources", kind, "--format", "json")
    found, own = json.loads(out), schema.source_schema(kind)
    assert (status, found["type"], found["description"]) == (0, kind, own["description"])
    assert {option["name"] for option in found["options"]} == set(own["properties"]) - {"type"}
    assert {option["name"] for option in found["options"] if option["required"]} == set(own["required"]) - {"type"}
    assert all(option["description"] and option["expects"] for option in found["options"])
    assert found["defaults"] == own["x-spoutgen"]["defaults"]
    assert set(own["x-spoutgen"].get("fields", ())) == set(found["required_path_fields"]) <= set(found["path_fields"])
    assert run(capsys, "sources", kind)[0] == 0


def test_a_type_that_there_is_not(capsys):
    status, out, err = run(capsys, "sources", "symbl")
    assert (status, out) == (2, "")
    assert "did you mean `symbol`?" in err
