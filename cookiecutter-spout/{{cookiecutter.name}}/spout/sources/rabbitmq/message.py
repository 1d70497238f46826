"""What a message is beside its bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from spout.sources.rabbitmq.connection import Message

# The publisher's own words. What the server adds and changes (redelivered, the number of deliveries) is left out: a
# message that comes again must look as it did.
_PROPERTIES = ("message_id", "correlation_id", "type", "app_id", "content_type", "content_encoding", "reply_to")
_OF_THE_SERVER = frozenset({"x-stream-offset", "x-delivery-count", "x-acquired-count"})


def described(message: Message) -> dict[str, Any]:
    """Its routing key as ``key``, ``exchange``, ``time`` (seconds since 1970), ``headers``, and what else it has."""
    properties = message.properties
    facts: dict[str, Any] = {"key": message.method.routing_key, "exchange": message.method.exchange}
    facts |= {name: value for name in _PROPERTIES if (value := getattr(properties, name)) is not None}
    if properties.timestamp is not None:
        facts["time"] = float(properties.timestamp)
    headers = {name: value for name, value in (properties.headers or {}).items() if name not in _OF_THE_SERVER}
    if headers:
        facts["headers"] = _json(headers)
    return facts


def named(message: Message) -> str:
    """The id that its publisher gave it, else a hash of it: the same name whenever it comes."""
    given = message.properties.message_id
    if given:
        return str(given)
    digest = hashlib.sha256()
    for part in (message.method.exchange, message.method.routing_key, str(message.properties.timestamp)):
        digest.update(part.encode() + b"\0")
    digest.update(message.body)
    return digest.hexdigest()[:32]


def _json(value: Any) -> Any:
    """An AMQP table's value as JSON has it; bytes that are no text as base64."""
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or timezone.utc).isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    return str(value) if isinstance(value, Decimal) else int(value)
