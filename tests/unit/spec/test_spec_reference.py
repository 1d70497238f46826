"""docs/reference/spec.md and errors.md say what the schemas and the table of codes say; --update-golden writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spoutgen.errors import CODES
from spoutgen.spec import load_text, schema

ROOT = Path(__file__).parents[3]
SPEC, ERRORS = ROOT / "docs" / "reference" / "spec.md", ROOT / "docs" / "reference" / "errors.md"
BAD = ROOT / "tests" / "golden" / "bad"

GROUPS = {
    "1": "Reading the file",
    "2": "What the schema says",
    "3": "What a schema cannot say",
    "4": "The project folder",
    "5": "The local cluster",
    "6": "Real clusters",
    "7": "Images",
    "8": "Sources",
    "9": "The command line",
}


def code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if text.strip(".") else f'`"{text}"`'


def row(name: str, found: dict[str, Any], default: str) -> str:
    example = code(found["examples"][0]).replace("|", "\\|") if found.get("examples") else ""
    return f"| `{name}` | {found['description']} | {default} | {example} |"


def default_of(name: str, found: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    if name.startswith("output.") and "default" not in found:
        return "per source"
    if name in ("output", "batch"):
        return "see below"
    return code(found["default"]) if "default" in found else "none"


def keys(named: dict[str, Any], prefix: str, required: list[str]) -> Iterator[str]:
    yield "| key | what it says | default | example |"
    yield "|---|---|---|---|"
    for key, found in named.items():
        if found.get("const") is None or key == "version":
            yield row(prefix + key, found, default_of(prefix + key, found, key in required))


def generated(what: str) -> str:
    """The lines between `<!-- what: begin -->` and `<!-- what: end -->`."""
    top = schema.bundle()
    if what == "keys":
        lines = [*keys(top["properties"], "", top["required"])]
    elif what == "sources":
        lines = []
        for name in schema.source_types():
            own = schema.source_schema(name)
            lines += [f"### `type: {name}`", "", str(own["description"]), ""]
            lines += [*keys(own["properties"], "source.", own["required"]), ""]
            defaults = own["x-spoutgen"]["defaults"]
            said = [
                f"`{part}.{key}: {json.dumps(value)}`"
                for part, values in defaults.items()
                for key, value in values.items()
            ]
            lines += [f"Its defaults: {', '.join(said)}.", ""]
        lines.pop()
    elif what == "codes":
        lines = []
        for digit, title in GROUPS.items():
            lines += [f"## {title}", "", "| code | what is wrong |", "|---|---|"]
            lines += [f"| {name} | {says}{example(name)} |" for name, says in CODES.items() if name[2] == digit]
            lines.append("")
        lines.pop()
    else:
        found = schema.at(tuple(what.split(".")), {}) or {}
        lines = [*keys(schema.properties(found, {}), f"{what}.", [])]
    return "\n".join(lines)


def example(name: str) -> str:
    """A link to the bad example that shows the code best: its first finding, and the fewest others."""
    found = []
    for file in sorted(BAD.glob("*.expected")):
        shown = re.findall(r"^[^ ].* (SG\d{3}) ", file.read_text("utf-8"), re.MULTILINE)
        about = file.stem.split("-")[0]
        is_about_it = (about == "credential") == (name == "SG306") and (about != "file" or name < "SG2")
        is_about_it = is_about_it and about != "made"
        if is_about_it and shown[:1] == [name]:
            found.append((len(shown), file.stem))
    return f" ([example](../../tests/golden/bad/{min(found)[1]}.yaml))" if found else ""


@pytest.mark.parametrize("file", [SPEC, ERRORS], ids=lambda file: file.name)
def test_generated_parts(file: Path, golden: Callable[[Path, str], None]) -> None:
    text = file.read_text("utf-8")
    parts = re.findall(r"<!-- ([a-z.]+): begin -->", text)
    assert parts
    for part in parts:
        begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
        head, _, rest = text.partition(begin)
        _, found, tail = rest.partition(end)
        assert found, f"{part} has no end"
        text = f"{head}{begin}{generated(part)}\n{end}{tail}"
    golden(file, text)


def test_each_code_has_a_group() -> None:
    assert {name[2] for name in CODES} == set(GROUPS)
    assert all(re.fullmatch(r"SG[1-9]\d\d", name) for name in CODES)


def test_each_code_that_findings_use_is_in_the_table() -> None:
    used = set()
    for file in (ROOT / "spoutgen").rglob("*.py"):
        used |= set(re.findall(r"\"(SG\d{3})\"", file.read_text("utf-8")))
    used |= set(re.findall(r"\"(SG\d{3})\"", (ROOT / "schemas" / "spec-1.json").read_text("utf-8")))
    assert used <= set(CODES)


def test_each_block_of_yaml_is_a_good_spec() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", SPEC.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        load_text(block, "docs/reference/spec.md")
