"""One fetched message: its name, and what is known of it beside its value."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Protocol


class Fetched(Protocol):
    """confluent_kafka.Message, as it is of a consumer that has no deserializers."""

    def error(self) -> Any: ...  # noqa: D102
    def topic(self) -> str: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def headers(self) -> Sequence[tuple[str, bytes | None]] | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102


def name_of(offset: int) -> str:
    """A record's name: its offset as Kafka itself writes it, in 20 digits, so that names sort."""
    return str(offset).zfill(20)


def described(message: Fetched) -> dict[str, Any]:
    """What is known of a record beside its value. Bytes that are no text stand as base64."""
    facts: dict[str, Any] = {"offset": message.offset(), "time": message_time(message)}
    key = message.key()
    facts["key"] = text = _text(key)
    if key is not None and text is None:
        facts["key_base64"] = b64encode(key).decode()
    headers: dict[str, Any] = {}
    for name, value in message.headers() or ():
        readable = _text(value)
        shown = {"base64": b64encode(value).decode()} if value is not None and readable is None else readable
        headers.setdefault(name, []).append(shown)
    facts["headers"] = {name: shown[0] if len(shown) == 1 else shown for name, shown in headers.items()}
    if message.value() is None:
        facts["tombstone"] = True
    return facts


def message_time(message: Fetched) -> float | None:
    """A record's own time, in seconds since 1970; None if it has none."""
    kind, milliseconds = message.timestamp()
    return milliseconds / 1000 if kind and milliseconds >= 0 else None


def _text(data: bytes | None) -> str | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
