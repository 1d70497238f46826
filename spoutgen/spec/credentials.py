"""Passwords, tokens and keys that stand in a spec: finding them, and never showing them.

A value counts as a credential by the name of its key (`DB_PASSWORD`, `apiKey`) or by its own shape (an AWS key, a
private key, a URL with a password). Findings about it name the key, never the value; and since a finding shows the line
that it is about, lines are masked before anybody sees them, even of a text that cannot be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from spoutgen.errors import Diagnostic, Place
from spoutgen.spec.document import Document, Node, Path
from spoutgen.spec.text import Text

MASK = "***"

_WORDS = frozenset(
    {
        *("password", "passwd", "passphrase", "secret", "token", "credential", "credentials"),
        *("apikey", "accesskey", "secretkey", "privatekey"),
    }
)
_WORDS_AFTER_ANOTHER = frozenset({"pwd", "pass"})
_PAIRS = frozenset(
    (first, "key") for first in ("api", "access", "secret", "private", "auth", "account", "encryption", "signing")
)
# A name that ends so tells where a credential is, or something about it.
_HARMLESS_ENDINGS = frozenset(
    {
        *("file", "path", "dir", "name", "url", "uri", "endpoint", "mount", "header", "type", "id", "env"),
        *("ttl", "expiry", "timeout", "length", "count", "enabled"),
    }
)
_HARMLESS_VALUES = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"))

# What kind of credential, a part that all of them have, and the pattern of the whole. Every repetition is bounded: a
# line may have a megabyte, and must not take a second.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("an AWS access key", "AKIA", r"\bAKIA[0-9A-Z]{16}\b"),
    ("an AWS access key", "ASIA", r"\bASIA[0-9A-Z]{16}\b"),
    ("a private key", "PRIVATE KEY-----", r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*"),
    ("a GitHub token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{30,255}"),
    ("a GitHub token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{30,255}"),
    ("a GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,255}"),
    ("a Slack token", "xox", r"\bxox[abprs]-[A-Za-z0-9-]{10,255}"),
    ("a Google API key", "AIza", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("a Stripe key", "k_live_", r"\b[rs]k_live_[0-9A-Za-z]{16,255}"),
    ("a JSON Web Token", "eyJ", r"\beyJ[A-Za-z0-9_-]{8,512}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{0,4096}"),
    ("a URL with a password", "://", r"(?<=://)[^/\s:@]{0,256}:[^/\s]{1,256}(?=@)"),
    (
        "a connection string with a password",
        "=",
        r"(?i)[;?&](?:password|pwd|accountkey)=(?P<secret>[^\s;&\"']{1,256})",
    ),
)
_SETTING = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,200})[\"']?[ \t]{0,20}[:=][ \t]{0,200}(?=\S)")
# A key alone on its line, and the line below it.
_SETTING_BELOW = re.compile(
    r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,200})[\"']?[ \t]{0,20}:[ \t]{0,200}\r?\n(?=[ \t]{0,200}(\S.*))"
)
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def is_credential_name(name: str) -> bool:
    """Whether a key's name says that its value is a credential."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    if not parts or parts[-1] in _HARMLESS_ENDINGS:
        return False
    if any(part in _WORDS for part in parts) or any(part in _WORDS_AFTER_ANOTHER for part in parts[1:]):
        return True
    return any(pair in _PAIRS for pair in pairwise(parts))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _shaped(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The credentials in a text that are known by their shape: what kind they are, and where they stand."""
    for kind, part, pattern in _SHAPES:
        if part in text:
            for found in _compiled(pattern).finditer(text):
                yield kind, found.span("secret" if "secret" in found.groupdict() else 0)


def shape(text: str) -> str | None:
    """What kind of credential a text is or holds, by its form alone."""
    return next((kind for kind, _ in _shaped(text)), None)


def check(document: Document) -> Iterator[tuple[Path, Diagnostic]]:
    """A finding for each credential that stands in the document, with its path."""
    for path, value in _leaves(document.data):
        kind = _kind(path, value)
        if kind:
            name = ".".join(map(str, path))
            variable = path[-1] if path[0] == "env" else "VARIABLE"
            hint = f"keep it in a Kubernetes secret and write secrets: [{{name: SECRET, key: KEY, env: {variable}}}]"
            yield path, document.at_value(path, "SG306", f"`{name}` {kind}", hint)


def _kind(path: Path, value: str | int | float) -> str | None:
    found = shape(value) if isinstance(value, str) else None
    if found:
        return f"holds {found}"
    key = path[-1]
    if path[0] not in ("env", "source", "pipeline") or not isinstance(key, str) or not is_credential_name(key):
        return None
    return None if str(value).strip().lower() in _HARMLESS_VALUES else "is a credential by its name"


def is_credential(path: Path, value: Any) -> bool:
    """Whether the value at ``path`` is a credential or holds one."""
    if isinstance(value, dict | list):
        return any(_kind((*path, *inner), item) for inner, item in _leaves(value))
    return isinstance(value, str | int | float) and _kind(path, value) is not None


def _leaves(data: Any) -> Iterator[tuple[Path, str | int | float]]:
    """Every text and number with its path, in order, without recursion."""
    stack: list[tuple[Path, Any]] = [((), data)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend(reversed([((*path, key), item) for key, item in value.items()]))
        elif isinstance(value, list):
            stack.extend(reversed([((*path, index), item) for index, item in enumerate(value)]))
        elif path and isinstance(value, str | int | float) and not isinstance(value, bool):
            yield path, value


def masked(findings: Collection[Diagnostic], text: Text, secrets: Iterable[Node] = ()) -> list[Diagnostic]:
    """The findings without any credential in the lines that they show.

    ``secrets`` are the values that check found, none where the ``text`` could not be parsed.
    """
    known: dict[tuple[str, int], list[tuple[int, int]]] = {}
    spans = [(node.text, node.start, node.end) for node in secrets]
    if findings:
        below = _SETTING_BELOW.finditer(text.text)
        spans += [(text, *found.span(2)) for found in below if is_credential_name(found[1])]
    for where, first, last in spans:
        for place in where.places(first, last):
            start = place.column - 1
            known.setdefault((place.file, place.line), []).append((start, start + place.width))
    lines: dict[tuple[str, int], _Line] = {}
    return [
        replace(finding, place=_masked_place(finding.place, known, lines)) if finding.place else finding
        for finding in findings
    ]


def _masked_place(
    place: Place, known: Mapping[tuple[str, int], list[tuple[int, int]]], lines: dict[tuple[str, int], _Line]
) -> Place:
    """The place with its line masked; ``lines`` are those that were masked before, for a line of many findings."""
    if place.text is None:
        return place
    at = (place.file, place.line)
    if at not in lines:
        lines[at] = _line(place.text, [*known.get(at, ()), *_spans(place.text)])
    return _masked(place, lines[at]) if lines[at].spans else place


@dataclass(frozen=True, slots=True)
class _Line:
    """Where credentials stand in a line, and the line without them."""

    spans: list[tuple[int, int]]
    masked: str


def _line(text: str, spans: list[tuple[int, int]]) -> _Line:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    masked, last = "", 0
    for start, end in joined:
        masked += text[last:start] + MASK
        last = end
    return _Line(joined, masked + text[last:])


def _masked(place: Place, line: _Line) -> Place:
    """The place with its line masked; without its line, where the caret would not fit it any more."""
    start = place.column - 1
    end = start + place.width
    if any(first < start for first, _ in line.spans):
        return replace(place, text=None, width=min(place.width, len(MASK)))
    covered = [first for first, _ in line.spans if first < end]
    return replace(place, text=line.masked, width=covered[0] - start + len(MASK) if covered else place.width)


def is_in_line(line: str) -> bool:
    """Whether a line, which may be no YAML, seems to hold a credential."""
    return any(True for _ in _spans(line))


def _spans(line: str) -> Iterator[tuple[int, int]]:
    """Where credentials stand in a line, without parsing it: from a telling key to the end of the line, or by shape."""
    for found in _SETTING.finditer(line):
        if is_credential_name(found[1].rsplit(".", 1)[-1]):
            yield found.end(), len(line.rstrip())
            break
    yield from (span for _, span in _shaped(line))
