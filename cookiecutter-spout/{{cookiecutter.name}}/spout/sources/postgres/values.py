"""Values of the replication stream, which are text, as JSON: byte for byte as PostgreSQL's own row_to_json writes them.

So both modes give a row the same bytes, but for composite types, which stay text here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

Write = Callable[[bytes], bytes]

# Types that can be told without asking: their numbers are PostgreSQL's own, and never change.
BOOL, BYTEA, INT8, INT2, INT4, JSON, FLOAT4, FLOAT8 = 16, 17, 20, 21, 23, 114, 700, 701
TIMESTAMP, TIMESTAMPTZ, NUMERIC, JSONB = 1114, 1184, 1700, 3802

_encode = json.encoder.encode_basestring


def quoted(text: bytes) -> bytes:
    """A JSON string."""
    return _encode(text.decode()).encode()


def number(text: bytes) -> bytes:
    """A JSON number with the digits as they are; NaN and the infinities, which JSON does not have, as strings."""
    return b'"' + text + b'"' if text[-1:].isalpha() else text


def _as_it_is(text: bytes) -> bytes:
    return text


def _boolean(text: bytes) -> bytes:
    return b"true" if text == b"t" else b"false"


def _document(text: bytes) -> bytes:
    return text.replace(b"\n", b" ").replace(b"\r", b" ").replace(b"\t", b" ")


def _moment(text: bytes) -> bytes:
    return b'"' + text.replace(b" ", b"T", 1) + b'"'


def _moment_with_zone(text: bytes) -> bytes:
    return b'"' + text.replace(b" ", b"T", 1).replace(b"+00", b"+00:00", 1) + b'"'


BUILT_IN: Mapping[int, Write] = {
    BOOL: _boolean,
    INT8: _as_it_is,
    INT2: _as_it_is,
    INT4: _as_it_is,
    FLOAT4: number,
    FLOAT8: number,
    NUMERIC: number,
    JSON: _document,
    JSONB: _as_it_is,
    TIMESTAMP: _moment,
    TIMESTAMPTZ: _moment_with_zone,
}


def array_of(write: Write, delimiter: bytes = b",") -> Write:
    """What writes an array literal, such as ``{1,NULL,"a b"}`` or ``[0:1]={1,2}``, as a JSON array."""

    def written(text: bytes) -> bytes:
        body = text if text[:1] == b"{" else text[text.index(b"=") + 1 :]
        made: list[bytes] = []
        for token, is_quoted in _tokens(body, delimiter):
            if is_quoted:
                made.append(write(token))
            elif token in (b"{", b"}", delimiter):
                made.append({b"{": b"[", b"}": b"]"}.get(token, b","))
            else:
                made.append(b"null" if token == b"NULL" else write(token))
        return b"".join(made)

    return written


def _tokens(text: bytes, delimiter: bytes) -> Iterator[tuple[bytes, bool]]:
    """Brackets, delimiters and elements of an array literal; with each, whether it was quoted."""
    at, end = 0, len(text)
    marks = (b"{", b"}", delimiter)
    while at < end:
        char = text[at : at + 1]
        if char in marks:
            yield char, False
            at += 1
        elif char == b'"':
            element = bytearray()
            at += 1
            while (char := text[at : at + 1]) != b'"':
                at += char == b"\\"
                element += text[at : at + 1]
                at += 1
            at += 1
            yield bytes(element), True
        else:
            start = at
            while text[at : at + 1] not in marks:
                at += 1
            yield text[start:at], False
