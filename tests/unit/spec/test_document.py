"""YAML to data and places, by libyaml and by the pure parser alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.spec.document import HAS_LIBYAML, Document, Path, parse
from spoutgen.spec.text import MOST_BYTES, Text, decode

PARSERS = [True, False] if HAS_LIBYAML else [False]


def read(text: str, libyaml: bool = HAS_LIBYAML) -> Document:
    return parse(Text("spout.yaml", text), libyaml=libyaml)


def findings(text: str, libyaml: bool) -> tuple[Diagnostic, ...]:
    try:
        return read(text, libyaml).findings
    except SpecError as error:
        return error.diagnostics


def written(document: Document, path: Path) -> tuple[str | None, str]:
    """The key and the value at a path, as they stand in the text."""
    node, text = document.nodes[path], document.text.text
    return text[slice(*node.key)] if node.key else None, text[node.start : node.end]


TEXT = """\
# a comment
name: spoutmarker   # another
'source': {type: "sym\\tbol", list: [1, two , 'it''s']}
secrets:
- name: db
  key: &k k
- *k
text: |
  one
  two
empty:
🐙: é
"""


@pytest.mark.parametrize("libyaml", PARSERS)
def test_data_and_places(libyaml: bool) -> None:
    document = read(TEXT, libyaml)
    assert document.data == {
        "name": "spoutmarker",
        "source": {"type": "sym\tbol", "list": [1, "two", "it's"]},
        "secrets": [{"name": "db", "key": "k"}, "k"],
        "text": "one\ntwo\n",
        "empty": None,
        "🐙": "é",
    }
    assert written(document, ("name",)) == ("name", "spoutmarker")
    assert written(document, ("source",)) == ("'source'", """{type: "sym\\tbol", list: [1, two , 'it''s']}""")
    assert written(document, ("source", "type")) == ("type", '"sym\\tbol"')
    assert written(document, ("source", "list", 1)) == (None, "two")
    assert written(document, ("secrets",)) == ("secrets", "- name: db\n  key: &k k\n- *k")
    assert written(document, ("secrets", 0, "key")) == ("key", "&k k")
    assert document.nodes["secrets", 0, "key"].has_anchor
    assert document.nodes["secrets", 1].kind == "alias"
    assert written(document, ("empty",)) == ("empty", "")
    assert written(document, ("🐙",)) == ("🐙", "é")
    place = document.at_value(("🐙",), "SG204", "").place
    assert place is not None
    assert (place.line, place.column, place.width, place.text) == (12, 4, 1, "🐙: é")


def test_a_finding_about_what_is_not_written_stands_at_what_is_around_it() -> None:
    document = read("source:\n  type: symbol\n")
    for place in (document.at_key(("source", "symbol"), "", "").place, document.at_key(("source",), "", "").place):
        assert place is not None
        assert (place.line, place.column, place.width) == (1, 1, 6)


DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abcdef", min_size=1), DATA, max_size=5))
def test_json_is_yaml(data: dict[str, object]) -> None:
    text = json.dumps(data, indent=1)
    for libyaml in PARSERS:
        document = read(text, libyaml)
        assert document.data == data
        assert document.findings == ()


PIECES = st.sampled_from(
    [
        *(
            "a",
            "b:",
            "c\n  ",
            "-",
            "'",
            '"',
            " ",
            "\n",
            ": ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "#",
            "&",
            "*",
            "!",
            "|",
        ),
        *(
            ">",
            "%",
            "@",
            "`",
            "?",
            "~",
            "\\",
            "0",
            ".",
            "=",
            "\t",
            "\r",
            "---",
            "...",
            "%YAML",
            "<<",
            "é",
            "😀",
            "\ufeff",
        ),
        *("\x00", "\u2028", "\\u", "&a ", "*a", "!!str ", "{{", "}}", "yes", "0x1", "1e5", "null", "PASSWORD: ", "]]"),
        *("version: ", "source:\n", "  type: symbol", "marker: ", "image: ", "key:", "'x': ", "? "),
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_both_parsers_find_the_same(text: str) -> None:
    found = [findings(text, libyaml) for libyaml in PARSERS]
    assert found[0] == found[-1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\n--- # more\nb: 2\n", "SG106"),
        ("a: 1\n...\n", ""),
        ("--- {a: 1}\n", ""),
        ("a: [b, c]\nd: !!str e\n", "SG108"),
        ("!b:!", "SG104"),
        ("? a\n: b\n", ""),
        ("? [a]\n: b\n", "SG104"),
        ("[a]: b\n", "SG104"),
        ("*x : b\n", "SG104"),
        ("a: &x [1]\nb: *x\nc: *x\n", ""),
        ("a: &x [*x]\n", "SG102"),
        ("%YAML 1.2\n---\na: 1\n", ""),
        ("a: b\rc: d\r", ""),
        ("true: x\n", "SG203"),
        ("'true': x\n", ""),
        ("'yes': 'no'\n", ""),
        ('a: "\\ud83d\\ude00"\n', ""),
        ('a: "\\ude00\\ud83d"\n', "SG104"),
        ('"\\ud83d": a\n', "SG104"),
    ],
)
@pytest.mark.parametrize("libyaml", PARSERS)
def test_structure(text: str, says: str, libyaml: bool) -> None:
    assert " ".join(finding.code for finding in findings(text, libyaml)) == says


def test_the_first_of_two_keys_counts_and_the_second_is_not_looked_into() -> None:
    document = read("source:\n  type: a\nsource:\n  type: [b, c]\n")
    assert document.data == {"source": {"type": "a"}}
    assert ("source", "type", 0) not in document.nodes
    assert [finding.code for finding in document.findings] == ["SG107"]


def test_bounds_are_exact() -> None:
    assert read("a:\n" + "".join(f"- x{n}\n" for n in range(9_997))).findings == ()
    with pytest.raises(SpecError, match="10,000"):
        read("a:\n" + "".join(f"- x{n}\n" for n in range(9_998)))
    assert read("a: " + "[" * 31 + "]" * 31).findings == ()
    with pytest.raises(SpecError, match="32 deep"):
        read("a: " + "[" * 32 + "]" * 32)
    assert decode(b"#" * MOST_BYTES, "f") == "#" * MOST_BYTES
    with pytest.raises(SpecError, match="1,048,577 bytes"):
        decode(b"#" * (MOST_BYTES + 1), "f")


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_editors_count_them(breaks: str) -> None:
    place = read(breaks.join(["a: 1", "", "# c", "b: 2", ""])).at_value(("b",), "", "").place
    assert place is not None
    assert (place.line, place.column, place.text) == (4, 4, "b: 2")
