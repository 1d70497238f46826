"""``key=value`` settings: what they mean for a document, and the document with them applied.

A key is dotted (``source.interval``, ``secrets.0.name``). Its value is text where the schema wants text, and YAML
everywhere else, so that ``image=1.0`` and ``env.PORT=8080`` need no quotes and ``resources.limits={cpu: 1}`` works.
Findings about a setting are placed in the setting itself, as if it were a file of one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.spec import schema
from spoutgen.spec.document import HAS_LIBYAML, Document, Node, Path, parse
from spoutgen.spec.text import Text, refuse_unreadable

FILE_PREFIX = "--set "


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: where its value belongs, and the value as a document of its own."""

    path: Path
    value: Document
    key_width: int


def overridden(document: Document, overrides: Sequence[tuple[str, str]], libyaml: bool = HAS_LIBYAML) -> Document:
    """The document with the settings applied, in order; raises SpecError for settings that cannot be read."""
    for setting in settings(document, overrides, libyaml):
        document = applied(document, setting)
    return document


def settings(document: Document, overrides: Sequence[tuple[str, str]], libyaml: bool = HAS_LIBYAML) -> list[Setting]:
    """The settings for a document; raises SpecError with the findings about all those that cannot be read."""
    # Which options there are depends on the source's type and on the target, so those settings count for all.
    data = dict(document.data)
    for key, value in overrides:
        if key == "source.type":
            source = data.get("source")
            data["source"] = {**(source if isinstance(source, dict) else {}), "type": value}
        elif key == "pachyderm" and value.isdecimal() and value.isascii():
            data["pachyderm"] = int(value[:2])
    read: list[Setting] = []
    findings: list[Diagnostic] = []
    for key, value in overrides:
        try:
            read.append(_setting(key, value, data, libyaml))
        except SpecError as error:
            findings += error.diagnostics
    if findings:
        raise SpecError(*document.findings, *findings)
    return read


def path_of(key: str) -> Path:
    """The path that a dotted key stands for."""
    return tuple(int(part) if part.isdecimal() and part.isascii() else part for part in key.split("."))


def _setting(key: str, value: str, data: Any, libyaml: bool) -> Setting:
    text = Text(FILE_PREFIX + key, f"{key}={value}")
    path = path_of(key)
    if "" in path:
        hint = "write key=value with a dotted key, such as source.interval=5s"
        raise SpecError(Diagnostic("SG901", f"`{key}` is not a key", text.place(0, len(key)), hint))
    start = len(key) + 1
    if not _is_text(path, value, data):
        return Setting(path, parse(text, start=start, is_whole_file=False, libyaml=libyaml), len(key))
    refuse_unreadable(text, is_yaml=False)
    node = Node(text, start, len(text.text), "scalar", '"', False, None)
    return Setting(path, Document(text, value, {(): node}, (), frozenset()), len(key))


def _is_text(path: Path, value: str, data: Any) -> bool:
    """Whether the value is taken as it is, because the schema wants text there (or knows no such key at all)."""
    wanted = schema.at(path, data)
    if wanted is None:
        return True
    if "string" not in wanted.get("type", ()):
        return False
    return wanted["type"] == "string" or not value.lstrip().startswith("{")


def applied(document: Document, setting: Setting) -> Document:
    """The document with one setting; the values around it are made where they are missing."""
    path, value = setting.path, setting.value
    here = replace(value.nodes[()], key=(0, setting.key_width))
    nodes = {known: node for known, node in document.nodes.items() if known[: len(path)] != path}
    for length in range(1, len(path)):
        outer = document.nodes.get(path[:length])
        if outer is None or outer.kind == "scalar":
            nodes[path[:length]] = here
    nodes |= {(*path, *inner): node for inner, node in value.nodes.items()}
    nodes[path] = here
    return Document(
        text=document.text,
        data=with_value(document.data, setting),
        nodes=nodes,
        findings=(*document.findings, *value.findings),
        spoilt=frozenset(spoilt for spoilt in document.spoilt if spoilt[: len(path)] != path)
        | {(*path, *inner) for inner in value.spoilt},
    )


def with_value(data: Any, setting: Setting) -> Any:
    """A copy of the data with the setting's value in its place; raises SpecError when a list has no such item."""
    return _with_value(data, setting.path, setting)


def _with_value(data: Any, path: Path, setting: Setting) -> Any:
    if not path:
        return setting.value.data
    key, rest = path[0], path[1:]
    if isinstance(data, list) or isinstance(key, int):
        items = data if isinstance(data, list) else []
        if not isinstance(key, int) or key >= len(items):
            outer = ".".join(map(str, setting.path[: len(setting.path) - len(path)]))
            place = setting.value.text.place(0, setting.key_width)
            raise SpecError(Diagnostic("SG901", f"`{outer}` has no item `{key}`; it has {len(items)}", place))
        return [_with_value(item, rest, setting) if index == key else item for index, item in enumerate(items)]
    inner = data if isinstance(data, dict) else {}
    return {**inner, key: _with_value(inner.get(key), rest, setting)}
