"""Rules about where records go: paths that PFS takes, that keep apart what is apart, and that are no markers."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from spoutgen.errors import Diagnostic
from spoutgen.spec.document import Path
from spoutgen.spec.look import Look
from spoutgen.spec.schema import source_schema, source_types

# v1.13.4:src/server/pkg/path/path.go:29, :79
_NOT_IN_A_PATH = re.compile(r"[^ -~]|[*?\[\]{}!()@+^]")
_FIELD = re.compile(r"\{([^{}]*)\}")
FIELDS = ("first", "last", "date", "hour", "key")
_ONE_EACH = re.compile(r"\{(first|last)\}")
LONGEST_PATH = 1_000


def output_path_is_legal(look: Look) -> Iterator[Diagnostic]:
    """The output paths are such as PFS takes, and their fields are known and keep partitions apart."""
    own = _own_fields(look, "fields")
    keys = ("path", "dead_letters") if look.value(str, "output", "on_error") == "dead_letter" else ("path",)
    for key in keys:
        path = look.value(str, "output", key)
        problem = _path_problem(path, _fields(look)) if path else None
        missing = [field for field in own if path and f"{{{field}}}" not in path]
        if problem:
            yield look.document.at_value(("output", key), "SG304", f"`output.{key}` {problem[0]}", problem[1])
        elif missing:
            message = f"`output.{key}` must hold {{{missing[0]}}}: without it, files of different ones get one name"
            hint = f"write it into the path, such as {'/'.join(f'{{{field}}}' for field in own)}/{{first}}-{{last}}"
            yield look.document.at_value(("output", key), "SG304", message, hint)
        elif path and key == "path" and look.value(str, "output", "format") == "files" and not _ONE_EACH.search(path):
            hint = "write {first}, which is the record's name, somewhere into it: records/{first}.txt"
            message = "`output.path` must hold {first} or {last}, since `format: files` writes one file a record"
            yield look.document.at_value(("output", "path"), "SG304", message, hint)


def batches_are_kept(look: Look) -> Iterator[Diagnostic]:
    """No batch replaces the one before, unless that is the type's own way (the symbol's) or `overwrite` is written."""
    path, source_type = look.value(str, "output", "path"), look.value(str, "source", "type")
    if not path or source_type not in source_types() or look.is_written("output", "overwrite"):
        return
    own = source_schema(source_type)["x-spoutgen"]["defaults"]["output"]["path"]
    if look.value(str, "output", "format") == "lines" and _ONE_EACH.search(own) and not _ONE_EACH.search(path):
        message = "`output.path` must hold {first} or {last}: without it, a batch replaces the one before"
        hint = (
            f"write {{first}}, the name of a batch's first record, somewhere into it, such as {own}; if only the"
            " newest batch is wanted, write `overwrite: true` beside it"
        )
        yield look.document.at_value(("output", "path"), "SG304", message, hint)


def dead_letters_are_kept(look: Look) -> Iterator[Diagnostic]:
    """No batch's dead letters replace those of another, or records, or go to the marker."""
    dead = look.value(str, "output", "dead_letters")
    if not dead or look.value(str, "output", "on_error") != "dead_letter":
        return
    at: Path = ("output", "dead_letters") if look.is_written("output", "dead_letters") else ("output", "on_error")
    marker = look.value(str, "marker") or look.value(str, "marker", "name") or look.value(str, "marker", "prefix")
    if not _ONE_EACH.search(dead):
        hint = "write {first}, which is a record's name, somewhere into it: dead_letters/{first}"
        message = (
            "`output.dead_letters` must hold {first} or {last}: without it, a batch's replace those of the one before"
        )
        yield look.document.at_value(at, "SG304", message, hint)
    elif dead == look.value(str, "output", "path"):
        message = "`output.dead_letters` is `output.path`, so one of a batch's two files would be lost"
        yield look.document.at_value(at, "SG304", message, "choose another path")
    elif marker and not _path_problem(dead, _fields(look)) and _may_clash(look, dead, marker):
        message = f"`output.dead_letters` may begin with the marker's name `{marker}`"
        yield look.document.at_value(at, "SG305", message, "give it a folder: dead_letters/{first}")


def _own_fields(look: Look, which: str) -> tuple[str, ...]:
    """The fields that the source type adds: ``fields``, all of which a path must hold, or ``more_fields``."""
    source_type = look.value(str, "source", "type")
    if source_type not in source_types():
        return ()
    return tuple(source_schema(source_type)["x-spoutgen"].get(which, ()))


def _fields(look: Look) -> tuple[str, ...]:
    """All fields that a path may have."""
    return (*FIELDS, *_own_fields(look, "fields"), *_own_fields(look, "more_fields"))


def _path_problem(path: str, fields: Sequence[str]) -> tuple[str, str | None] | None:
    unknown = [field for field in _FIELD.findall(path) if field not in fields]
    if unknown:
        listed = [f"{{{field}}}" for field in fields]
        return f"has an unknown field {{{unknown[0]}}}", f"the fields are {', '.join(listed[:-1])} and {listed[-1]}"
    plain = _FIELD.sub("x", path)
    if wrong := _NOT_IN_A_PATH.search(plain):
        what = wrong[0] if wrong[0].isprintable() else f"U+{ord(wrong[0]):04X}"
        return f"may not hold `{what}`", "Pachyderm's paths are printable ASCII without * ? [ ] { } ! ( ) @ + ^"
    if path.startswith("/"):
        return "may not begin with a slash", f"write {path.lstrip('/')}" if path.strip("/") else None
    if path.endswith("/"):
        return "must name a file, not a folder", f"write {path}{{first}}.txt, for example"
    if any(part in ("", ".", "..") for part in plain.split("/")):
        return "may not have empty parts, `.` or `..`", None
    if len(path) > LONGEST_PATH:
        return f"has {len(path)} characters; it has at most {LONGEST_PATH}", None
    return None


def output_is_not_marker(look: Look) -> Iterator[Diagnostic]:
    """No data file can be taken for the marker, whatever records come."""
    marker = look.value(str, "marker") or look.value(str, "marker", "name") or look.value(str, "marker", "prefix")
    path = look.value(str, "output", "path")
    if not marker or not path or _path_problem(path, _fields(look)) or not _may_clash(look, path, marker):
        return
    verb = "begins" if _FIELD.split(path, maxsplit=1)[0].startswith(marker) else "may begin"
    so = "could be the marker itself" if look.value(int, "pachyderm") == 2 else "would be taken for markers"
    message = f"`output.path` {verb} with the marker's name `{marker}`, so its files {so}"
    at: Path = ("output", "path") if look.is_written("output", "path") else ("marker",)
    hint = "choose another path, or another marker" if verb == "begins" else f"put the data into a folder: data/{path}"
    yield look.document.at_value(at, "SG305", message, hint)


def _may_clash(look: Look, path: str, marker: str) -> bool:
    """Whether ``path`` can become a file that is taken for the marker.

    On 1.x every file whose path begins with the marker's name goes to the marker branch and is gone from the output;
    Pachyderm compares plain text (v1.13.4:src/server/worker/pipeline/common.go:97). On 2.x the marker stands beside the
    data, where a file could be the marker itself, make a folder of it, or be one of its parts (`mymark01`,
    `mymark.orders.3`).
    """
    pieces = [
        _values(look, piece) if at % 2 else [_Text(piece)]
        for at, piece in enumerate(_FIELD.split(path))
        if piece or at % 2
    ]
    begins, is_it = _matched(pieces, marker)
    if look.value(int, "pachyderm") != 2:
        return begins
    return is_it or any(_matched(pieces, marker + more)[0] for more in "/.0123456789")


@dataclass(frozen=True, slots=True)
class _Text:
    """A part of a path: ``text`` as it is, then one or more characters of the pattern ``rest``, if there is one."""

    text: str
    rest: str = ""


# What the runtime makes of any text of a record (the template's spout/paths.py); of these, _PLAIN stay as they are.
_ANY = "[A-Za-z0-9_.~:=,; %-]"
_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.~:=,; ")
# Of dead letters, which may be without a time: %-
_TIMES = {"date": "[0-9%-]", "hour": "[0-9%-]"}


def _values(look: Look, field: str) -> list[_Text]:
    """What a field can stand for, as far as the spec tells: rather too much than too little."""
    source_type = look.value(str, "source", "type")
    known = source_schema(source_type)["x-spoutgen"].get("values", {}) if source_type in source_types() else {}
    about = known.get("first" if field == "last" else field, _TIMES.get(field, _ANY))
    if "option" in about:
        given = look.value(str, "source", about["option"]) or look.value(list, "source", about["option"])
        texts = [given] if isinstance(given, str) else given or []
        return [_Text(escaped(text)) for text in texts if isinstance(text, str)] or [_Text("", _ANY)]
    if isinstance(about, dict):
        about = about.get(look.value(str, "source", about["by"]), _ANY)
    # transform.py makes 17.1 and 17.2 of 17.
    is_split = field in ("first", "last") and look.value(bool, "transform") is not False
    return [_Text("", f"(?:{about}|[.0-9])" if is_split else about)]


def escaped(text: str) -> str:
    """A record's text as the runtime writes it into a path: the template's spout/paths.py, and a test, say the same."""
    keep = _PLAIN if text.strip(".") else _PLAIN - {"."}
    return "".join(c if c in keep else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text) or "%"


def _matched(pieces: Sequence[Sequence[_Text]], wanted: str) -> tuple[bool, bool]:
    """Whether a path of these pieces can begin with ``wanted``, and whether it can be it.

    Each piece is one of several; ``ends`` are where, within ``wanted``, what came so far can end.
    """
    ends, begins = {0}, False
    for choices in pieces:
        after: set[int] = set()
        for choice, start in product(choices, ends):
            left = wanted[start:]
            if not left.startswith(choice.text):
                begins = begins or choice.text.startswith(left)
                continue
            end = start + len(choice.text)
            if not choice.rest:
                after.add(end)
            while choice.rest and end < len(wanted) and re.fullmatch(choice.rest, wanted[end]):
                end += 1
                after.add(end)
            begins = begins or len(wanted) in (end, *after)
        ends = after - {len(wanted)} if choices is not pieces[-1] else after
    return begins, len(wanted) in ends


def glob_leaves_marker_out(look: Look) -> Iterator[Diagnostic]:
    """On 2.x some glob takes the data and not the marker."""
    path = look.value(str, "output", "path")
    marker = look.value(str, "marker") or look.value(str, "marker", "name") or look.value(str, "marker", "prefix")
    if not path or not marker or "/" in path or look.value(int, "pachyderm") != 2:
        return
    glob = _FIELD.sub("*", path)
    if "*" in glob and re.fullmatch(".*".join(map(re.escape, glob.split("*"))), marker):
        message = f"no glob of a downstream pipeline takes the data alone: `/{glob}` takes the marker `{marker}` too"
        at: Path = ("output", "path") if look.is_written("output", "path") else ("marker",)
        hint = f"put the data into a folder: data/{path}"
        yield replace(look.document.at_value(at, "SG305", message, hint), severity="warning")


def overwrite_keeps_guarantee(look: Look) -> Iterator[Diagnostic]:
    """A batch that is written again after a crash replaces itself, unless files grow (pachyderm-1: PutFile appends).

    On 2.x files never grow: a batch deletes and adds its files in one go.
    """
    if look.value(bool, "output", "overwrite") is not False:
        return
    if look.value(int, "pachyderm") == 2:
        message = "`overwrite: false` does not go with `pachyderm: 2`, where a batch always replaces its files"
        hint = "leave it out, and give each batch its own file: lines/{first}.txt"
        yield look.document.at_value(("output", "overwrite"), "SG309", message, hint)
    else:
        hint = "leave it out, and give each batch its own file: lines/{first}.txt"
        message = "with `overwrite: false` a batch that is written again after a crash stands in the file twice"
        finding = look.document.at_value(("output", "overwrite"), "SG310", message, hint)
        yield replace(finding, severity="warning")
