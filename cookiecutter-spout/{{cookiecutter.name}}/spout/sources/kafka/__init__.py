"""`source.type: kafka`: topics of a Kafka cluster, read by their offsets."""

from spout.sources.kafka.probe import probe
from spout.sources.kafka.source import make, shape

__all__ = ["make", "probe", "shape"]
