"""set_values: exactly the asked for change, and not one other byte."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import ProjectError, SpecError
from spoutgen.report import as_text
from spoutgen.spec.document import parse
from spoutgen.spec.edit import changes, save, set_values
from spoutgen.spec.text import Text
from spoutgen.spec.writing import flow, quoted

STORY = """\
# yaml-language-server: $schema=x

version: 1
name: spoutmarker   # who
image: 'spout-marker:v1'
source:   # from where
  type: symbol
  symbol: "."  # a dot
  interval: 30s

marker: mymark
# the end
"""

# What to set, the lines that go, and the lines that come.
EDITS: dict[str, tuple[str, str, str, str]] = {
    "plain": ("source.interval=5s", STORY, "interval: 30s", "interval: 5s"),
    "double quotes": ("source.symbol=*", STORY, '"."  # a dot', '"*"  # a dot'),
    "double quotes escaped": ('source.symbol="\\', STORY, '"."  # a dot', '"\\"\\\\"  # a dot'),
    "single quotes": ("image=spout-marker:v2", STORY, "'spout-marker:v1'", "'spout-marker:v2'"),
    "single quote in single quotes": ("image=it's", STORY, "'spout-marker:v1'", "'it''s'"),
    "line break in single quotes": ("image=a\nb", STORY, "'spout-marker:v1'", '"a\\nb"'),
    "plain that needs quotes": ("name=yes", STORY, "name: spoutmarker   #", 'name: "yes"   #'),
    "plain with a colon": ("name=a: b", STORY, "name: spoutmarker   #", 'name: "a: b"   #'),
    "plain that looks like a number": ("name=1_000", STORY, "name: spoutmarker   #", 'name: "1_000"   #'),
    "plain to non-ASCII": ("name=größe", STORY, "name: spoutmarker   #", 'name: "größe"   #'),
    "number for text": ("image=1.0", STORY, "'spout-marker:v1'", "'1.0'"),
    "same value": ("source.interval=30s", STORY, "", ""),
    "new key at the top": ("description=two words", STORY, "mymark\n", "mymark\ndescription: two words\n"),
    "new nested key": ("env.PORT=8080", STORY, "mymark\n", 'mymark\nenv:\n  PORT: "8080"\n'),
    "new key below": ("batch.wait=1s", STORY, "mymark\n", "mymark\nbatch:\n  wait: 1s\n"),
    "new key in a mapping": ("source.extra=x", STORY, "30s\n", "30s\n  extra: x\n"),
    "a list": ("pipeline.datum_tries=3", STORY, "mymark\n", "mymark\npipeline:\n  datum_tries: 3\n"),
    "flow for a mapping": (
        "resources={limits: {cpu: 1, memory: 64MiB}}",
        STORY,
        "mymark\n",
        "mymark\nresources: {limits: {cpu: 1, memory: 64MiB}}\n",
    ),
    "scalar becomes a mapping": ("marker.prefix=m", STORY, "marker: mymark", "marker: {prefix: m}"),
    "mapping for a scalar": ("marker={prefix: m}", STORY, "marker: mymark", "marker: {prefix: m}"),
    "flow mapping": ("env.B=2", "env: {A: x} # c\n", "{A: x}", '{A: x, B: "2"}'),
    "empty flow mapping": ("env.B=x", "env: {} # c\n", "{}", "{B: x}"),
    "flow mapping with spaces": ("env.B=x", "env: { A: x }\n", "A: x ", "A: x, B: x "),
    "flow mapping over lines": ("env.B=x", "env: {\n  A: x, # c\n}\n", "A: x,", "A: x, B: x,"),
    "value in flow": ("env.A=a, b", "env: {A: x}\n", "A: x", 'A: "a, b"'),
    "block mapping in flow root": ("name=b", '{"name": "a", "x": 1}\n', '"a"', '"b"'),
    "new key in flow root": ("description=b", '{"name": "a"}\n', '"a"', '"a", description: b'),
    "no value": ("env.A=x", "env:  # c\nname: x\n", "env:  # c\n", "env:  # c\n  A: x\n"),
    "no value, a scalar": ("name=x", "name:  # c\n", "name:  # c", "name: x  # c"),
    "no value at the end": ("name=x", "version: 1\nname:", "name:", "name: x"),
    "no value in flow": ("env.A=x", "env: {A: , B: y}\n", "A: ,", "A: x ,"),
    "no colon in flow": ("env.A=x", "env: {A, B: y}\n", "{A,", "{A: x,"),
    "null in words": ("name=x", "name: ~ # c\n", "~", "x"),
    "block for a scalar": ("marker=m", "marker:  # c\n  # d\n  prefix: p # e\nname: x\n", "  # c\n", ""),
    "four spaces": ("env.A=x", "source:\n    type: symbol\n", "symbol\n", "symbol\nenv:\n    A: x\n"),
    "no final newline": ("env.A=x", "name: a", "name: a", "name: a\nenv:\n  A: x"),
    "windows": ("env.A=x", "name: a\r\nimage: b\r\n", "b\r\n", "b\r\nenv:\r\n  A: x\r\n"),
    "byte order mark": ("name=b", "\ufeffname: a\n", "a\n", "b\n"),
    "after a block scalar": ("name=x", "description: |\n  a\n  b\n\n", "  b\n", "  b\nname: x\n"),
    "after a kept block scalar": ("name=x", "description: |+\n  a\n\n", "a\n\n", "a\n\nname: x\n"),
    "block scalar to text": ("description=one", "description: |\n  a\n  b\nname: x\n", "|\n  a\n  b", '"one"'),
    "block scalar to lines": ("description=c\nd\n", "description: |\n   a\nname: x\n", "   a", "   c\n   d"),
    "folded scalar": ("description=one", "description: >-\n  a\n  b\nname: x\n", ">-\n  a\n  b", '"one"'),
    "text over lines": ("description=one", "description: a\n  b\nname: x\n", "a\n  b", "one"),
    "list item": ("secrets.1.key=k2", "secrets:\n- {key: a}\n- key: b # c\n", "key: b", "key: k2"),
    "new key in a list item": ("secrets.0.env=E", "secrets:\n  - key: a # c\n", "a # c\n", "a # c\n    env: E\n"),
    "list for a list": ("secrets=[{name: db}]", "secrets:\n- {a: b}\n- c # d\nname: x\n", "", ""),
    "list item for a mapping": (
        "secrets.0={name: db}",
        "secrets:\n- a: b\n  c: d\n- e\n",
        "a: b\n  c: d",
        "{name: db}",
    ),
    "key that needs quotes": ("env.A b=x", "env: {}\n", "{}", "{A b: x}"),
    "document start": ("name=b", "--- # c\nname: a\n...\n", "a\n", "b\n"),
    "before the document end": ("image=b", "---\nname: a\n...\n", "a\n", "a\nimage: b\n"),
    "boolean": ("output.overwrite=true", "output:\n  overwrite: false\n", "false", "true"),
    "what was YAML 1.1": ("output.overwrite=true", "output:\n  overwrite: yes\n", "yes", "true"),
    "first of two": ("name=c", "name: a\nname: b\n", "name: a", "name: c"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edit(name: str) -> None:
    change, text, gone, come = EDITS[name]
    key, _, value = change.partition("=")
    edited = set_values(text, [(key, value)])
    if name == "block for a scalar":
        assert edited == "marker: m  # c\n  # d\nname: x\n"
    elif name == "list for a list":
        assert edited == "secrets: [{name: db}]\nname: x\n"
    else:
        assert text.count(gone) == 1 or not gone
        assert edited == text.replace(gone, come)


def test_several_at_once() -> None:
    edited = set_values(STORY, [("source.symbol", "*"), ("image", "spout-marker:v2"), ("env.A", "x"), ("env.B", "z")])
    assert edited == STORY.replace('"."', '"*"').replace(":v1", ":v2").replace(
        "mymark\n", "mymark\nenv:\n  A: x\n  B: z\n"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a: &x one\nname: *x\n", "name"),
        ("name: &x one\na: *x\n", "name"),
        ("a: &x {b: c}\nenv: *x\n", "env.b"),
        ("env: {A: &x one, B: *x}\n", "env"),
        ("description: | # a comment that would be lost\n  a\n", "description"),
    ],
)
def test_what_cannot_be_edited_is_said_and_not_done(text: str, key: str) -> None:
    with pytest.raises(SpecError) as caught:
        set_values(text, [(key, "two")])
    assert [finding.code for finding in caught.value.diagnostics] == ["SG110"]


def test_settings_that_cannot_be_read() -> None:
    with pytest.raises(SpecError) as caught:
        set_values(STORY, [("env", "{A"), ("a..b", "x"), ("name", "x")])
    assert [finding.code for finding in caught.value.diagnostics] == ["SG104", "SG901"]
    with pytest.raises(SpecError, match="no item"):
        set_values(STORY, [("secrets.0.name", "x")])


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("env:\n  DB_PASSWORD: 'Hush\n", "name", "x"),
        ("env:\n  DB_PASSWORD:\n    @Hush\n", "name", "x"),
        ("env: {A: &a x, DB_PASSWORD: Hush}\n", "env.A", "y"),
        ("name: x\n", "env", "{DB_PASSWORD: 'Hush"),
        ("name: x\n", "env", "{A: [, DB_PASSWORD: Hush}"),
    ],
)
def test_no_finding_about_an_edit_shows_a_credential(text: str, key: str, value: str) -> None:
    with pytest.raises(SpecError) as caught:
        set_values(text, [(key, value)])
    assert "Hush" not in as_text(caught.value.diagnostics)


def test_changes_are_told_without_credentials() -> None:
    after = set_values(STORY, [("source.symbol", "*"), ("env.TOKEN", "one"), ("batch.records", "1")])
    assert changes(STORY, after, ["source.symbol", "env.TOKEN", "batch.records", "name"]) == [
        ("source.symbol", '"."', '"*"'),
        ("env.TOKEN", "(unset)", "***"),
        ("batch.records", "(unset)", "1"),
        ("name", '"spoutmarker"', '"spoutmarker"'),
    ]
    assert changes("env: {A: x, B_TOKEN: Hush}\n", "env: {A: y}\n", ["env"]) == [("env", "***", '{"A": "y"}')]
    assert changes("url: ftp://a:Hush@b/c\n", "url: x\n", ["url"]) == [("url", "***", '"x"')]


SCALARS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LAYOUTS = st.sampled_from(
    [
        "name: a\nsource: {symbol: x}\n",
        "# c\nname: 'a'\nsource:\n    symbol: 'x' # d\n    b: |\n      text\n",
        'name: "a"   # c\r\nsource:\r\n  symbol: "x"\r\n  interval:\r\n',
        "name: >\n  folded\n  text\nsource:\n  symbol: |-\n    x\nmarker:\n  name: y",
        '{"name": "a", "source": {"symbol": "x"}}',
        "\ufeffname: a\nsource:\n  - x\n",
        "name:\nsource:\n",
    ]
)
KEYS = st.sampled_from(["name", "description", "source.symbol", "env.A", "marker.prefix", "image", "project"])


@given(LAYOUTS, st.lists(st.tuples(KEYS, SCALARS), max_size=4))
def test_any_text_reads_back_as_it_was_set(text: str, wanted: list[tuple[str, str]]) -> None:
    if text.startswith("\ufeff"):
        wanted = [(key, value) for key, value in wanted if key != "source.symbol"]
    edited = set_values(text, wanted)
    data = parse(Text("", edited.removeprefix("\ufeff"))).data
    for key, value in dict(wanted).items():
        found = data
        for part in key.split("."):
            found = found[part]
        assert found == value
    assert edited.startswith("\ufeff") == text.startswith("\ufeff")
    if not wanted:
        assert edited == text


@given(st.sampled_from(["name", "image", "source.symbol", "source.interval"]), SCALARS)
def test_one_line_changes_and_no_other(key: str, value: str) -> None:
    before, after = STORY.split("\n"), set_values(STORY, [(key, value)]).split("\n")
    assert len(before) == len(after)
    assert [line.split(":")[0].strip() for old, line in zip(before, after, strict=True) if old != line] in (
        [],
        [key.rpartition(".")[2]],
    )
    for old, new in zip(before, after, strict=True):
        assert old[old.find("  #") :] == new[len(new) - len(old[old.find("  #") :]) :] or "  #" not in old


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_reads_back_as_it_was_written(value: object) -> None:
    for libyaml in (True, False):
        document = parse(Text("", f"key: {flow(value, in_flow=False)}\n"), libyaml=libyaml)
        assert document.findings == ()
        assert document.data == {"key": value}


@given(SCALARS)
def test_quotes_are_one_line(text: str) -> None:
    assert len(quoted(text).splitlines()) == 1


def test_save_keeps_mode_and_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.yaml", tmp_path / "spout.yaml"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("real.yaml")
    save(link, "näw\r\n")
    assert link.is_symlink()
    assert target.read_bytes() == "näw\r\n".encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [target, link]


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "spout.yaml"
    file.mkdir()  # which no file can replace
    with pytest.raises(ProjectError, match="SG407"):
        save(file, "new")
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ProjectError, match="SG407"):
        save(tmp_path / "no" / "such" / "folder", "new")
