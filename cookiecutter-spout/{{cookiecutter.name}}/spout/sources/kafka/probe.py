"""What `spoutgen check` finds out about a cluster: it reads metadata and offsets, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spout.fatal import brief
from spout.records import Position
from spout.sources.kafka.client import Client
from spout.sources.kafka.source import KafkaSource

_PATIENCE = 5.0  # seconds until the cluster, and then every partition, should have answered: `check` itself waits 10


def probe(options: Mapping[str, Any], position: Position | None) -> list[tuple[str, str]]:
    """Rows of what is there; FatalError for what a person has to mend, any other exception for what may pass."""
    client = Client(options, _PATIENCE)
    try:
        name, brokers = client.cluster()
        rows = [("cluster", f"{name}, {brokers} broker{'s' * (brokers != 1)}")]
    finally:
        client.close()
    source = KafkaSource(options, lambda event, **facts: rows.append((event, brief(facts, 200))))
    try:
        source.open(position)
        rows += source.seen(_PATIENCE)
    finally:
        source.close()
    return rows
