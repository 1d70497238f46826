"""A YAML parser's complaint in plain words, with a hint for the classics: tabs, quotes, missing spaces, indentation.

The complaints are those of PyYAML's pure parser, which document.py asks whenever a text is broken. The text itself
tells more than they do: "mapping values are not allowed here" may be a colon in a value, a missing space in the line
above, or a wrong indentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """What the parser said: its ``problem`` at offset ``index``, and what it was reading (``context``) since when."""

    problem: str
    context: str
    index: int
    context_index: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong from offset ``start`` to ``end``, and what to do about it."""

    start: int
    end: int
    message: str
    hint: str | None = None
    code: str = "SG104"


@dataclass(frozen=True, slots=True)
class _Spot:
    """A mistake and the lines around it."""

    text: str
    mistake: Mistake
    index: int
    before: str  # of the index, on its own line
    previous: str  # the nearest line above that holds something
    previous_start: int

    def one(self, message: str, hint: str | None = None, code: str = "SG104") -> Explanation:
        """An explanation about the character at the index."""
        return Explanation(self.index, self.index + 1, message, hint, code)

    @property
    def char(self) -> str:
        return self.text[self.index : self.index + 1]


def explain(text: str, mistake: Mistake) -> Explanation:
    """What the mistake in the text is, in plain words."""
    for pattern, explanation in _EXPLANATIONS:
        if re.search(pattern, mistake.problem):
            index = mistake.context_index if explanation in _AT_CONTEXT else mistake.index
            return explanation(_spot(text, mistake, min(index, len(text))))
    index = min(mistake.index, len(text))
    return Explanation(index, index + 1, f"this is not valid YAML: {mistake.problem.splitlines()[0]}")


def _spot(text: str, mistake: Mistake, index: int) -> _Spot:
    if index == len(text) and text.endswith("\n"):
        index -= 1
    line_start = text.rfind("\n", 0, index) + 1
    above = text[:line_start].rstrip()
    previous_start = above.rfind("\n") + 1
    return _Spot(text, mistake, index, text[line_start:index], above[previous_start:], previous_start)


def _quoted(char: str, is_alone: bool) -> str:
    quote = "'" if char == '"' else '"'
    return f"put the value in quotes: {quote}{char}{'' if is_alone else '...'}{quote}"


def _is_alone(spot: _Spot) -> bool:
    """Whether nothing but the character at the spot stands on the rest of its line."""
    return spot.text[spot.index + 1 :].split("\n", 1)[0].strip() == ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _tab(spot: _Spot) -> Explanation:
    if spot.before.strip(" \t"):
        return spot.one("a tab may not stand between a key and its value", "replace the tab by a space")
    return spot.one("a tab may not indent a line", "indent with spaces")


def _first_character(spot: _Spot) -> Explanation:
    named = "a backtick" if spot.char == "`" else f"`{spot.char}`"
    return spot.one(f"a value may not begin with {named}", _quoted(spot.char, _is_alone(spot)))


def _alias(spot: _Spot) -> Explanation:
    kind = "an alias" if spot.char == "*" else "an anchor"
    return spot.one(f"`{spot.char}` begins {kind} in YAML", _quoted(spot.char, _is_alone(spot)))


def _open_quote(spot: _Spot) -> Explanation:
    return spot.one("this quote is never closed", f"end the value with {spot.char}")


def _no_colon(spot: _Spot) -> Explanation:
    """A line without `: `; the parser looked at it since the context's index."""
    line = spot.text[spot.index :].split("\n", 1)[0].rstrip()
    return _no_key_value(spot.index, line)


def _no_key_value(start: int, line: str) -> Explanation:
    if found := re.match(r"([\w.-]+):(?=\S)", line):
        colon = start + found.end() - 1
        return Explanation(
            colon, colon + 1, "a space is missing after the colon", f"write `{found[1]}: ` and the value"
        )
    if found := re.match(r"([\w.-]+)\s*=", line):
        sign = start + found.end() - 1
        return Explanation(sign, sign + 1, "`=` stands where `:` should", f"write `{found[1]}: ` and the value")
    return Explanation(start, start + len(line), "this line is no `key: value`", "is a colon missing?")


def _colon(spot: _Spot) -> Explanation:
    content = spot.before.strip()
    if ": " in content or content.endswith(":"):
        return spot.one("a value may not hold a colon and a space like this", "put the whole value in quotes")
    start = spot.previous_start + _indent(spot.previous)
    above = spot.previous.strip()
    if re.match(r"[\w.-]+(:\S|\s*=)", above) or (above and not re.search(r":(\s|$)", above)):
        return _no_key_value(start, above)
    if above and _indent(spot.before) > _indent(spot.previous):
        first = spot.index - len(spot.before.lstrip(" "))
        hint = "give it the indentation of the line above, or quote a value of several lines"
        return Explanation(first, spot.index, "this line is indented further than the line above allows", hint)
    return spot.one("a `key: value` may not stand here", "is the key longer than a line, or a quote missing?")


def _after_value(spot: _Spot) -> Explanation:
    """Something where the next key should begin."""
    found = re.search("but found '(.*)'", spot.mistake.problem)
    what = found[1] if found else ""
    if spot.before.strip() and what in ("}", "]"):
        return spot.one(f"this `{what}` closes nothing", "put the value in quotes, or remove it")
    if re.search(r"[\"'}\]]\s*$", spot.before):
        hint = 'write \\" for a quote in double quotes, or use the other kind of quotes'
        return spot.one("nothing may follow the end of a value", hint)
    if what == "-":
        return spot.one("a list item stands among the keys of a mapping", "give the list a key, and indent its items")
    if what == "?":
        return spot.one("a key stands among the items of a list", "begin each item with `- `, or unindent the key")
    if not spot.before.strip():
        return spot.one("this line is indented like none of the lines above", "keys of one mapping begin in one column")
    return spot.one("this may not stand here", "is a quote missing around the value?")


def _flow(spot: _Spot) -> Explanation:
    opening = spot.text[spot.mistake.context_index]
    line = spot.text.count("\n", 0, spot.mistake.context_index) + 1
    closing = "}" if opening == "{" else "]"
    return spot.one(f"a comma or `{closing}` is missing here", f"the `{opening}` is in line {line}")


def _no_content(spot: _Spot) -> Explanation:
    if "<stream end>" in spot.mistake.problem:
        return spot.one(
            "the text ends where a value should stand", "is a { or [ never closed? as text they need quotes"
        )
    return _first_character(spot)


def _list_item(spot: _Spot) -> Explanation:
    return spot.one("`-` begins a list item, and none may stand here", f"for the text, {_quoted('-', _is_alone(spot))}")


def _block_scalar(spot: _Spot) -> Explanation:
    return spot.one("nothing may follow `|` or `>` on its line", "put the text on the lines below, or in quotes")


def _escape(spot: _Spot) -> Explanation:
    start = spot.text.rfind("\\", 0, spot.index + 1)
    written = spot.text[start : start + 2]
    hint = "write \\\\ for a backslash, or put the value in single quotes"
    return Explanation(start, start + 2, f"`{written}` is no escape that double quotes know", hint)


def _second_root(spot: _Spot) -> Explanation:
    if spot.previous.startswith("%"):
        return spot.one("a line `---` is missing before this one", "or remove the line that begins with %")
    if not spot.before.strip() and not spot.previous.startswith("..."):
        hint = "begin all top-level keys in the first column"
        return spot.one("this line is indented less than the first", hint)
    return spot.one("nothing may stand here: the document has ended", "is a line break or a quote missing?")


def _tag(spot: _Spot) -> Explanation:
    tag = re.match(r"\S*", spot.text[spot.index : spot.index + 40])
    end = spot.index + max(1, len(tag[0]) if tag else 1)
    hint = "write the plain value, or put it in quotes"
    return Explanation(spot.index, end, "a tag is not allowed here", hint, "SG108")


def _version(spot: _Spot) -> Explanation:
    return spot.one("this is YAML of an unknown version", "remove the %YAML line; YAML 1.2 is what is read here")


_EXPLANATIONS: tuple[tuple[str, Callable[[_Spot], Explanation]], ...] = (
    (r"^found character '\\t'", _tab),
    (r"^found character .* that cannot start any token", _first_character),
    (r"^expected alphabetic or numeric character, but found", _alias),
    (r"^found unexpected end of stream", _open_quote),
    (r"^could not find expected ':'", _no_colon),
    (r"^mapping values are not allowed here", _colon),
    (r"^expected <block end>, but found", _after_value),
    (r"^expected ',' or", _flow),
    (r"^expected the node content, but found", _no_content),
    (r"^sequence entries are not allowed here", _list_item),
    (r"^mapping keys are not allowed here", _first_character),
    (r"^expected chomping or indentation indicators", _block_scalar),
    (r"^(found unknown escape character|expected escape sequence|chr\(\)|Python int too large)", _escape),
    (r"^expected '<document start>', but found", _second_root),
    (r"^found undefined tag handle|while scanning a tag", _tag),
    (r"^found incompatible YAML document", _version),
)
_AT_CONTEXT = frozenset((_alias, _open_quote, _no_colon))
