"""``key=value`` settings -> edits of the YAML text that leave every other byte as it was.

An edit is a guess that is checked: each way of writing a value is tried in order, the nearest to the old text first,
and the first whose text reads back as exactly the wanted data is taken. So comments, order, quotes, line ends
elsewhere stay, and no edit can ever say something else than what was asked for.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path as FilePath
from typing import Any

from spoutgen.errors import Diagnostic, ProjectError, SpecError
from spoutgen.spec.credentials import MASK, is_credential, masked
from spoutgen.spec.document import Document, Node, Path, parse
from spoutgen.spec.settings import Setting, path_of, settings, with_value
from spoutgen.spec.text import BYTE_ORDER_MARK, Text
from spoutgen.spec.writing import flow, key_text, writings


def set_values(text: str, changes: Sequence[tuple[str, str]], file: str = "spout.yaml") -> str:
    """The text with each ``(dotted key, value)`` set; raises SpecError where no edit would say exactly that."""
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    whole = Text(file, text.removeprefix(BYTE_ORDER_MARK))
    try:
        document = parse(whole)
        for setting in settings(document, changes):
            document = _changed(document, setting)
    except SpecError as error:
        raise SpecError(*masked(error.diagnostics, whole)) from error.__cause__
    return mark + document.text.text


def changes(before: str, after: str, keys: Sequence[str]) -> list[tuple[str, str, str]]:
    """For each dotted key its value before and after, as a person reads it; credentials are not shown."""
    documents = [parse(Text("", text.removeprefix(BYTE_ORDER_MARK))) for text in (before, after)]
    old, new = (document.data for document in documents)
    return [(key, _shown(old, path_of(key)), _shown(new, path_of(key))) for key in keys]


def _shown(data: Any, path: Path) -> str:
    for key in path:
        is_there = key in data if isinstance(data, dict) else isinstance(data, list) and key in range(len(data))
        if not is_there:
            return "(unset)"
        data = data[key]
    return MASK if is_credential(path, data) else json.dumps(data, ensure_ascii=False)


def _changed(document: Document, setting: Setting) -> Document:
    if setting.value.findings:
        raise SpecError(*setting.value.findings)
    wanted = with_value(document.data, setting)
    if _same(wanted, document.data):
        return document
    anchor = _repeated(document, setting.path)
    if anchor is not None:
        name = ".".join(map(str, setting.path))
        place = anchor.text.place(anchor.start, anchor.end)
        message = f"`{name}` stands in a value that is written once and used in several places"
        raise SpecError(Diagnostic("SG110", message, place, "edit the file by hand"))
    for text in _guesses(document, setting):
        with suppress(SpecError):
            edited = parse(Text(document.text.file, text))
            if len(edited.findings) <= len(document.findings) and _same(edited.data, wanted):
                return edited
    node = document.nearest(setting.path)
    message = f"`{'.'.join(map(str, setting.path))}` cannot be set here without touching the rest"
    raise SpecError(Diagnostic("SG110", message, node.text.place(node.start, node.end), "edit the file by hand"))


def _same(one: Any, other: Any) -> bool:
    """Equal values of equal types: 1, 1.0 and true are three values, and 1.0 is 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _repeated(document: Document, path: Path) -> Node | None:
    """The anchor or alias at the path, around it or below it."""
    for known, node in document.nodes.items():
        if (known == path[: len(known)] or path == known[: len(path)]) and (node.has_anchor or node.kind == "alias"):
            return node
    return None


# Guesses


def _guesses(document: Document, setting: Setting) -> Iterator[str]:
    """The texts that may say what is wanted, the one that fits best into the old text first."""
    path, value = setting.path, setting.value.data
    if path in document.nodes:
        yield from _replaced(document, path, value)
        return
    length = max(length for length in range(len(path)) if path[:length] in document.nodes)
    outer, rest = document.nodes[path[:length]], path[length:]
    if outer.kind != "mapping":
        yield from _nested(document, path[:length], rest, value)
        yield from _replaced(document, path[:length], _wrapped(rest, value))
    elif outer.style:
        yield from _added_to_flow(document, path[:length], rest, value)
    else:
        yield from _added_to_block(document, path[:length], rest, value)


def _wrapped(path: Path, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _replaced(document: Document, path: Path, value: Any) -> Iterator[str]:
    """The value at the path written anew."""
    text, node = document.text.text, document.nodes[path]
    in_flow = _is_in_flow(document, path)
    if node.kind != "scalar" and not node.style:
        yield from _block_replaced(document, path, value)
        return
    for written in writings(value, node.style, _block_indent(text, node), in_flow=in_flow):
        if node.style in ("|", ">"):
            if "#" in text[node.start : node.end].split("\n", 1)[0]:
                return  # a comment stands behind the sign, and would be lost
            yield text[: node.start] + written + text[_content_end(text, node) :]
        elif node.start == node.end:
            # Nothing is written: the value goes behind its colon, or its dash, or behind a key that has no colon.
            yield f"{text[: node.start]} {written}{text[node.end :]}"
            yield f"{text[: node.start]}: {written}{text[node.end :]}"
        else:
            yield text[: node.start] + written + text[node.end :]


def _block_indent(text: str, node: Node) -> str:
    """What the lines of a block scalar begin with."""
    found = re.search(r"\n( +)\S", text[node.start : node.end])
    return found[1] if found else "  "


def _block_replaced(document: Document, path: Path, value: Any) -> Iterator[str]:
    """A block mapping or list replaced by a value on its key's line; what else stands on that line stays."""
    text, node = document.text.text, document.nodes[path]
    line_start = text.rfind("\n", 0, node.start) + 1
    for written in writings(value, "", in_flow=False):
        if node.key is None or text[line_start : node.start].strip():
            yield text[: node.start] + written + text[node.end :]
            continue
        colon = text.index(":", node.key[1]) + 1
        last_line = text.find("\n", _content_end(text, node))
        rest = text[last_line + 1 :] if last_line >= 0 else ""
        kept = text[colon:line_start]
        if not rest and not text.endswith("\n"):
            kept = kept.removesuffix("\n").removesuffix("\r")
        yield f"{text[:colon]} {written}{kept}{rest}"


def _added_to_flow(document: Document, path: Path, rest: Path, value: Any) -> Iterator[str]:
    text, node = document.text.text, document.nodes[path]
    pair = f"{key_text(rest[0])}: {flow(_wrapped(rest[1:], value))}"
    last = _last_child_end(document, path)
    if last is None:
        yield f"{text[: node.start + 1]}{pair}{text[node.start + 1 :]}"
    else:
        yield f"{text[:last]}, {pair}{text[last:]}"


def _added_to_block(document: Document, path: Path, rest: Path, value: Any) -> Iterator[str]:
    """A new line below the last one of a block mapping."""
    text, node = document.text.text, document.nodes[path]
    indent = node.start - (text.rfind("\n", 0, node.start) + 1)
    lines = _lines(rest, value, " " * indent, _step(document))
    for end in dict.fromkeys((_content_end(text, node), node.end)):
        yield _below(text, end, lines)


def _nested(document: Document, path: Path, rest: Path, value: Any) -> Iterator[str]:
    """A first key below a key that has no value yet."""
    text, node = document.text.text, document.nodes[path]
    if node.start != node.end or node.key is None or _is_in_flow(document, path):
        return
    line_start = text.rfind("\n", 0, node.key[0]) + 1
    step = _step(document)
    indent = " " * (node.key[0] - line_start + step)
    yield _below(text, node.key[1], _lines(rest, value, indent, step))


def _lines(path: Path, value: Any, indent: str, step: int) -> list[str]:
    """The lines of a nested key in block style, the value in flow style behind the last."""
    lines = []
    for depth, key in enumerate(path):
        lines.append(f"{indent}{' ' * (step * depth)}{key_text(key)}:")
    lines[-1] += f" {flow(value, in_flow=False)}"
    return lines


def _below(text: str, offset: int, lines: list[str]) -> str:
    """The text with lines added below the line that holds the character before the offset."""
    line_break = _line_break(text)
    end = text.find("\n", max(0, offset - 1))
    added = line_break.join(lines)
    if end < 0:
        return f"{text}{line_break}{added}"
    return f"{text[: end + 1]}{added}{line_break}{text[end + 1 :]}"


def _line_break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _step(document: Document) -> int:
    """How far the file indents the keys below a key."""
    text = document.text.text
    for path, node in document.nodes.items():
        if node.kind == "mapping" and not node.style and node.key and not any(isinstance(key, int) for key in path):
            outer = node.key[0] - (text.rfind("\n", 0, node.key[0]) + 1)
            inner = node.start - (text.rfind("\n", 0, node.start) + 1)
            if inner > outer:
                return inner - outer
    return 2


def _content_end(text: str, node: Node) -> int:
    """The end of a value without the empty lines that a block scalar has behind it."""
    return node.start + len(text[node.start : node.end].rstrip())


def _last_child_end(document: Document, path: Path) -> int | None:
    """Where the last key or value of a mapping ends."""
    ends = [
        max(node.end, node.key[1] if node.key else 0)
        for known, node in document.nodes.items()
        if len(known) == len(path) + 1 and known[:-1] == path
    ]
    return max(ends, default=None)


def _is_in_flow(document: Document, path: Path) -> bool:
    outer = (document.nodes[path[:length]] for length in range(len(path)))
    return any(node.kind in ("mapping", "sequence") and node.style for node in outer)


# Saving


def save(file: FilePath, text: str) -> None:
    """Replace a file's text in one step: a killed edit leaves the old file or the new one. Links are followed."""
    try:
        _replace(file.resolve(), text.encode())
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror or error}"
        raise ProjectError(Diagnostic("SG407", message, None, "nothing was changed")) from error


def _replace(target: FilePath, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    beside = FilePath(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
