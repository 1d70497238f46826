"""YAML text -> Document: plain data, and for every value the place where it stands. The only importer of yaml.

The data is built from PyYAML's events in a loop, never by recursion nor by PyYAML's constructors, so that no tag can
make an object, and depth, size and aliases are bounded while reading rather than after. Where libyaml is there it
reads the text; when it finds a mistake, the pure parser reads it again, so that the mistake is told in the same words
on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.spec.scalars import LONGEST_NUMBER, YAML_1_1_BOOLEANS, is_finite, resolve
from spoutgen.spec.syntax import Mistake, explain
from spoutgen.spec.text import SURROGATE, Text, refuse_unreadable, with_pairs_joined

Path = tuple[str | int, ...]

MOST_DEPTH = 32
MOST_NODES = 10_000

HAS_LIBYAML = bool(getattr(yaml, "__with_libyaml__", False))

# libyaml takes tabs between values, question marks in flow style, `|#`, commas in tags and tags such as `!a:b!`, and
# refuses unknown directives; the pure parser does none of that.
_PARSERS_DIFFER = re.compile(r"[\t?]|^%|[|>][-+0-9]*#|!\S*,|![\w-]*[^\s\w!-]\S*!", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Node:
    """Where one value stands: offsets into ``text``; ``start`` includes an anchor or a tag.

    ``kind`` is scalar, mapping, sequence or alias. ``style`` is the quote (``'`` or ``"``), the sign of a block scalar
    (``|`` or ``>``), ``{`` or ``[`` for a flow collection, and empty otherwise. ``key`` is the span of the key, if any.
    """

    text: Text
    start: int
    end: int
    kind: str
    style: str
    has_anchor: bool
    key: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says. ``spoilt`` are paths with a finding of their own, of which nothing more needs to be said."""

    text: Text
    data: Any
    nodes: Mapping[Path, Node]
    findings: tuple[Diagnostic, ...]
    spoilt: frozenset[Path]

    def at_value(self, path: Path, code: str, message: str, hint: str | None = None) -> Diagnostic:
        """A finding about the value at ``path``, or about the nearest value around it that is written."""
        node = self.nearest(path)
        return Diagnostic(code, message, node.text.place(node.start, node.end), hint)

    def at_key(self, path: Path, code: str, message: str, hint: str | None = None) -> Diagnostic:
        """A finding about the key at ``path``, or about the nearest key around it that is written."""
        node = self.nearest(path)
        start, end = node.key if node.key else (node.start, node.end)
        return Diagnostic(code, message, node.text.place(start, end), hint)

    def nearest(self, path: Path) -> Node:
        """The node at ``path`` or, where nothing is written there, of the value around it."""
        while path not in self.nodes:
            path = path[:-1]
        return self.nodes[path]


def parse(text: Text, *, start: int = 0, is_whole_file: bool = True, libyaml: bool = HAS_LIBYAML) -> Document:
    """Read a text, or with ``is_whole_file=False`` the one value that begins at ``start``.

    Raises SpecError when it cannot be read to the end; smaller mistakes become the document's findings.
    """
    refuse_unreadable(text)
    # What comes before the value is blanked out, so that all offsets are those of the text that a person sees.
    readable = " " * start + text.text[start:]
    if libyaml and not _PARSERS_DIFFER.search(readable):
        try:
            return _Builder(text, is_whole_file).build(_events(readable, True))
        except _BrokenError:
            pass  # the pure parser has the last word
    try:
        return _Builder(text, is_whole_file).build(_events(readable, False))
    except _BrokenError as broken:
        explained = explain(text.text, broken.mistake)
        place = text.place(explained.start, explained.end)
        finding = Diagnostic(explained.code, explained.message, place, explained.hint)
        raise SpecError(*broken.findings, finding) from None


class _BrokenError(Exception):
    """The parser could not go on."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.problem)
        self.mistake = mistake
        self.findings: tuple[Diagnostic, ...] = ()


def _events(text: str, libyaml: bool) -> Iterator[Any]:
    """PyYAML's events for a text; every way in which a parser fails becomes a _BrokenError."""
    loader: Any = (yaml.CSafeLoader if libyaml else yaml.SafeLoader)(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        mark, context = error.problem_mark or error.context_mark, error.context_mark
        index = mark.index if mark else 0
        context_index = context.index if context else index
        raise _BrokenError(Mistake(error.problem or "", error.context or "", index, context_index)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The pure scanner makes characters of escapes without looking: "\UFFFFFFFF" is a ValueError.
        index = 0 if libyaml else loader.get_mark().index
        raise _BrokenError(Mistake(str(error), "", index, index)) from error
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Frame:
    """A collection that is being read. ``key`` is the key whose value comes next, None where a key comes next."""

    data: Any
    path: Path
    start: int
    style: str
    anchor: str | None
    own_key: tuple[int, int] | None
    is_dead: bool
    key: str | None = None
    key_span: tuple[int, int] | None = None
    key_is_dead: bool = False
    seen: dict[str, int] = field(default_factory=dict)
    size: int = 1
    height: int = 1
    end: int = 0


@dataclass(frozen=True, slots=True)
class _Anchored:
    """An anchor's value; None while it is still being read. ``size`` is its number of values, aliases expanded."""

    value: Any
    size: int
    height: int
    is_complete: bool


class _Builder:
    """Turns one stream of events into a Document."""

    def __init__(self, text: Text, is_whole_file: bool) -> None:
        self.text = text
        self.is_whole_file = is_whole_file
        self.frames: list[_Frame] = []
        self.nodes: dict[Path, Node] = {}
        self.anchors: dict[str, _Anchored] = {}
        self.findings: list[Diagnostic] = []
        self.spoilt: set[Path] = set()
        self.total = 0
        self.data: Any = None

    def build(self, events: Iterator[Any]) -> Document:
        """Read all events."""
        documents = 0
        try:
            for event in events:
                match event:
                    case yaml.ScalarEvent():
                        self.scalar(event)
                    case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                        self.open(event)
                    case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                        self.close(event)
                    case yaml.AliasEvent():
                        self.alias(event)
                    case yaml.DocumentStartEvent():
                        documents += 1
                        if documents > 1:
                            self.second_document(event)
        except _BrokenError as broken:
            broken.findings = tuple(self.findings)
            raise
        if self.is_whole_file:
            self.check_root()
        elif () not in self.nodes:
            end = len(self.text.text)
            self.nodes[()] = Node(self.text, end, end, "scalar", "", False, None)
        return Document(self.text, self.data, self.nodes, tuple(self.findings), frozenset(self.spoilt))

    # Events

    def scalar(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        style = event.style if event.style in ("'", '"', "|", ">") else ""
        text = with_pairs_joined(event.value)
        if start == end:
            # An empty value: the parsers do not agree on which side of the blanks it stands.
            start = end = len(self.text.text[:start].rstrip(" "))
        self.spend(start, end, 1, 0)
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.data, dict) and frame.key is None:
            self.key(frame, text, style, start, end)
            return
        path = self.next_path()
        if event.tag is not None:
            self.tag(event, path)
        value = text if style or event.tag is not None else resolve(text)
        if not style and text in YAML_1_1_BOOLEANS:
            meant = YAML_1_1_BOOLEANS[text]
            message = f"`{text}` means {meant} to some YAML readers and text to others"
            self.finding("SG109", message, start, end, f'write {meant}, or "{text}" for the text', path)
        elif not is_finite(value):
            is_long = len(text) > LONGEST_NUMBER or text[-1:].isdigit()
            message = "this number is too large" if is_long else "this is no number that JSON knows"
            self.finding("SG204", message, start, end, None, path)
        elif SURROGATE.search(text):
            self.half_a_pair(start, end, path)
        self.add(value, Node(self.text, start, end, "scalar", style, event.anchor is not None, self.key_span()))
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, 1, 0, True)

    def open(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        self.spend(start, end, 1, 1)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.data, dict) and frame.key is None:
            self.complex_key(frame, start, end)
            path, own_key, is_dead = frame.path, None, True
        else:
            path, own_key, is_dead = self.next_path(), self.key_span(), self.is_dead()
        if event.tag is not None:
            self.tag(event, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(None, 0, 0, False)
        style = ("{" if is_mapping else "[") if event.flow_style else ""
        data: Any = {} if is_mapping else []
        self.frames.append(_Frame(data, path, start, style, event.anchor, own_key, is_dead, end=end))

    def close(self, event: Any) -> None:
        frame = self.frames.pop()
        if frame.style:
            frame.end = event.end_mark.index
        kind = "mapping" if isinstance(frame.data, dict) else "sequence"
        if frame.anchor is not None:
            self.anchors[frame.anchor] = _Anchored(frame.data, frame.size, frame.height, True)
        if self.frames and isinstance(self.frames[-1].data, dict) and self.frames[-1].key is None:
            # The collection was itself a key, which complex_key has reported; its value is dead too.
            self.frames[-1].key, self.frames[-1].key_is_dead = "", True
            return
        has_anchor = frame.anchor is not None
        node = Node(self.text, frame.start, frame.end, kind, frame.style, has_anchor, frame.own_key)
        self.add(frame.data, node, frame.size, frame.height)

    def alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.data, dict) and frame.key is None:
            self.complex_key(frame, start, end)
            frame.key, frame.key_is_dead = "", True
            return
        path = self.next_path()
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            hint = "a value that begins with * must stand in quotes" if self.text.text[start:end] else None
            self.finding("SG104", "no value has the name of this alias", start, end, hint, path)
            anchored = _Anchored(None, 1, 0, True)
        elif not anchored.is_complete:
            self.stop("SG102", "this alias stands inside the value that it repeats", start, end)
        self.spend(start, end, anchored.size, anchored.height)
        node = Node(self.text, start, end, "alias", "", False, self.key_span())
        self.add(anchored.value, node, anchored.size, anchored.height)

    # Keys and values

    def key(self, frame: _Frame, text: str, style: str, start: int, end: int) -> None:
        frame.key, frame.key_span, frame.key_is_dead = text, (start, end), False
        frame.end = end
        path = (*frame.path, text)
        if text in frame.seen:
            frame.key_is_dead = True
            first = self.text.place(frame.seen[text], frame.seen[text]).line
            self.finding(
                "SG107", f"`{text}` stands twice; the first is in line {first}", start, end, "remove one of them"
            )
            return
        frame.seen[text] = start
        if SURROGATE.search(text):
            self.half_a_pair(start, end, path)
        if style:
            return
        if text in YAML_1_1_BOOLEANS:
            meant = YAML_1_1_BOOLEANS[text]
            message = f"the key `{text}` means {meant} to some YAML readers and text to others"
            self.finding("SG109", message, start, end, f'write "{text}" for the text', path)
        elif text == "<<":
            message, hint = "unknown key `<<`", "YAML 1.2 has no merge keys; write the keys out"
            self.finding("SG201", message, start, end, hint, path)
        elif not isinstance(resolve(text), str):
            message = f"a key must be text, not `{text}`" if text else "a key is missing here"
            self.finding("SG203", message, start, end, f'write "{text}"' if text else None, path)

    def half_a_pair(self, start: int, end: int, path: Path) -> None:
        hint = "write the character itself, or \\U and eight digits"
        self.finding("SG104", "half a surrogate pair is not a character", start, end, hint, path)

    def complex_key(self, frame: _Frame, start: int, end: int) -> None:
        if frame.is_dead:
            return
        is_template = self.text.text[start - 1 : start + 1] == "{{"
        hint = "a value that begins with {{ must stand in quotes" if is_template else "keys are plain words"
        self.finding("SG104", "a key must be text, not a list or a mapping", start, end, hint, frame.path)

    def tag(self, event: Any, path: Path) -> None:
        start = self.text.text.index("!", event.start_mark.index)
        tag = re.match(r"\S+", self.text.text[start : start + 200])
        written = tag[0] if tag else "!"
        is_text = written in ("!", "!!str")
        hint = (
            "put the value in quotes instead"
            if is_text
            else "write the plain value; a spec is never turned into objects"
        )
        self.finding("SG108", "a tag is not allowed here", start, start + len(written), hint, path)

    def add(self, value: Any, node: Node, size: int = 1, height: int = 0) -> None:
        """Put a finished value into the collection around it."""
        if not self.frames:
            self.data = value
            self.nodes[()] = node
            return
        frame = self.frames[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        frame.end = max(frame.end, node.end)
        if isinstance(frame.data, list):
            if not frame.is_dead:
                path = (*frame.path, len(frame.data))
                self.nodes[path] = node
            frame.data.append(value)
            return
        key = frame.key or ""
        if not frame.key_is_dead:
            frame.data[key] = value
            if not frame.is_dead:
                path = (*frame.path, key)
                self.nodes[path] = node
        frame.key, frame.key_span, frame.key_is_dead = None, None, False

    def next_path(self) -> Path:
        """The path of the value that comes next."""
        if not self.frames:
            return ()
        frame = self.frames[-1]
        key = len(frame.data) if isinstance(frame.data, list) else frame.key or ""
        return (*frame.path, key)

    def key_span(self) -> tuple[int, int] | None:
        return self.frames[-1].key_span if self.frames else None

    def is_dead(self) -> bool:
        """Whether the value that comes next is dropped: its key is a second one, or no text."""
        return bool(self.frames) and (self.frames[-1].is_dead or self.frames[-1].key_is_dead)

    # Findings

    def finding(
        self, code: str, message: str, start: int, end: int, hint: str | None = None, path: Path | None = None
    ) -> None:
        self.findings.append(Diagnostic(code, message, self.text.place(start, end), hint))
        if path is not None:
            self.spoilt.add(path)

    def stop(self, code: str, message: str, start: int, end: int, hint: str | None = None) -> NoReturn:
        self.finding(code, message, start, end, hint)
        raise SpecError(*self.findings)

    def spend(self, start: int, end: int, size: int, height: int) -> None:
        self.total += size
        if self.total > MOST_NODES:
            message = f"the file holds more than {MOST_NODES:,} values, repeated ones counted each time"
            self.stop("SG102", message, start, end)
        if len(self.frames) + height > MOST_DEPTH:
            self.stop("SG102", f"the values are nested more than {MOST_DEPTH} deep", start, end)

    def second_document(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        hint = "a file holds one spec; put the others into files of their own"
        self.stop("SG106", "a second document begins here", start, end, hint)

    def check_root(self) -> None:
        if isinstance(self.data, dict) and self.nodes[()].kind == "mapping":
            return
        node = self.nodes.get(())
        if node is None or self.data is None:
            hint = "`spoutgen new NAME` writes a spec to begin with"
            self.stop(
                "SG105", "the file is empty" if not self.text.text.strip() else "the file holds no spec", 0, 0, hint
            )
        self.stop("SG105", "the file must be a mapping such as `name: spoutmarker`", node.start, node.end)
