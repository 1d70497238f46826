"""The only module that speaks with Kafka: a consumer that reads what it is told to, and belongs to no group.

Partitions are assigned by us, from offsets that are ours: no group is joined, nothing is rebalanced, no offset is
committed automatically. Errors are of two kinds: a FatalError for what only a person can mend, any other exception for
what may pass.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from spout.fatal import FatalError, brief
from spout.sources.kafka.message import Fetched

EARLIEST, LATEST = -2, -1  # the two places without a number, as Kafka's ListOffsets has them
REACH = 10.0  # seconds that the cluster may take to answer

_LOGGER = logging.getLogger("spout.kafka")
_LOGGER.addHandler(logging.NullHandler())  # what librdkafka logs comes to us as errors, too
_LOGGER.propagate = False

# What librdkafka is told to keep at most: with its own values (64 MiB of records, 50 MiB an answer) a backlog would
# take all the memory that the spout has.
_MEMORY: Mapping[str, Any] = {
    "queued.max.messages.kbytes": 8192,
    "fetch.max.bytes": 8 << 20,
    "fetch.message.max.bytes": 1 << 20,
    "fetch.queue.backoff.ms": 10,  # until a queue that was full is filled again; its own second would be idle time
}
_DENIED = frozenset(
    (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
)
# A handshake fails in the same words when the connection just ended, so only these are no passing trouble.
_TLS_REFUSALS = ("certificate", "wrong version number")
# What a broker says of our own certificate comes as an alert (RFC 8446, 6.2: handshake failure, bad, unsupported,
# revoked, expired or unknown certificate, unknown authority, access denied, certificate required), after the handshake
# where it is TLS 1.3. Other alerts may pass.
_OWN_CERTIFICATE = re.compile(r"SSL alert number (40|42|43|44|45|46|48|49|116)\b")


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


class Client:
    """One connection to a cluster, which has ``reach`` seconds to answer; ``close`` it also when something failed."""

    def __init__(self, options: Mapping[str, Any], reach: float | None = None) -> None:
        self._reach = REACH if reach is None else reach
        self._servers = options["servers"]
        self._group = options.get("group")
        self._is_secured = options["tls"] or bool(options.get("sasl"))
        self._errors: list[KafkaError] = []
        self._warn_of_commit: Callable[[str], None] = lambda why: None
        settings = client_settings(options)
        settings["error_cb"] = self._errors.append
        settings["on_commit"] = self._after_commit
        try:
            self._consumer = Consumer(settings, logger=_LOGGER)
        except (KafkaException, ValueError, TypeError) as error:
            raise FatalError(
                "source",
                found=f"settings that librdkafka refuses ({brief(_words(error), 300)})",
                expected="settings and files that it can use",
                remedy="correct `source` in spout.yaml, or the mounted files that it names",
            ) from error

    def close(self) -> None:
        """Let go of the cluster."""
        self._consumer.close()

    def cluster(self) -> tuple[str, int]:
        """The cluster's id, and how many brokers it has."""
        found = self._metadata(None)
        return found.cluster_id or "without an id", len(found.brokers)

    def topics(self) -> list[str]:
        """All topics that may be seen, Kafka's own left out."""
        return [name for name in self._metadata(None).topics if not name.startswith("__")]

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of ``topic``; FatalError if there is no such topic, or no right to read it."""
        found = self._metadata(topic).topics[topic]
        if found.error is not None:
            code = found.error.code()
            if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION):
                raise FatalError(
                    "source",
                    found=f"no topic {topic!r} on {self._servers}",
                    expected="every topic that `source.topics` names",
                    remedy="create the topic, or correct `source.topics` or `source.servers`",
                )
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise FatalError(
                    "source",
                    found=f"no right to see topic {topic!r}",
                    expected="a user that may read it",
                    remedy="give that user the rights Describe and Read on the topic, or use another one",
                )
            raise KafkaException(found.error)
        return [Partition(topic, number) for number in sorted(found.partitions)]

    def offsets(self, partitions: Iterable[Partition], when: int) -> dict[Partition, int]:
        """Where to begin in each: EARLIEST, LATEST, or the first record of a time (milliseconds since 1970)."""
        asked = [TopicPartition(topic, number, when) for topic, number in partitions]
        if not asked:
            return {}
        try:
            answers = self._consumer.offsets_for_times(asked, timeout=self._reach)
        except KafkaException as error:
            raise self._trouble(error) from error
        found = {}
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
            found[Partition(answer.topic, answer.partition)] = answer.offset
        none_yet = [partition for partition, offset in found.items() if offset < 0]
        return {**found, **(self.offsets(none_yet, LATEST) if when != LATEST else {})}

    def assign(self, places: Mapping[Partition, int]) -> None:
        """From now on read these partitions, from these offsets; what was fetched before is thrown away."""
        self._consumer.assign([TopicPartition(topic, number, at) for (topic, number), at in places.items()])

    def take(self, most: int, timeout: float) -> list[Fetched]:
        """What has been fetched, at most so many; if that is nothing, what comes first within ``timeout`` seconds."""
        consume: Callable[[int, float], list[Fetched]] = self._consumer.consume  # type: ignore[assignment]
        messages = consume(most, 0.0)
        if not messages and timeout > 0:
            messages = consume(1, timeout)
            if messages and most > 1:
                messages += consume(most - 1, 0.0)
        if messages:
            self._errors.clear()  # one broker of several was away, or it has come back already
        elif self._errors:
            self._check_errors()
            del self._errors[:-8]
        return messages

    def newest(self, partition: Partition) -> int | None:
        """The offset after the newest record, as the last answer of the broker has it; None before the first one."""
        high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)[1]
        return high if high >= 0 else None

    def commit(self, places: Mapping[Partition, int], warn: Callable[[str], None]) -> None:
        """Write the group's offsets, for those who look at them; ``warn`` is told if that fails, later."""
        self._warn_of_commit = warn
        offsets = [TopicPartition(topic, number, at) for (topic, number), at in places.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def _after_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        failed = error or next((place.error for place in offsets if place.error), None)
        if failed is not None:
            self._warn_of_commit(failed.str())

    def _metadata(self, topic: str | None) -> Any:
        """What the cluster says of itself. Asked again and again, since why it is silent is known at once."""
        deadline = time.monotonic() + self._reach
        while True:
            try:
                if topic is None:
                    return self._consumer.list_topics(timeout=1.0)
                return self._consumer.list_topics(topic, timeout=1.0)
            except KafkaException as error:
                self._consumer.poll(0)  # this is what calls error_cb
                self._check_denied()
                if time.monotonic() >= deadline:
                    raise self._trouble(error) from error

    def _check_errors(self) -> None:
        """Raise if no broker can be reached. Of several some may be away: librdkafka goes on by itself."""
        if any(error.code() == KafkaError._ALL_BROKERS_DOWN or error.code() in _DENIED for error in self._errors):
            raise self._trouble(None)

    def _check_denied(self) -> None:
        """Raise a FatalError if the cluster does not want us."""
        for error in self._errors:
            said = brief(error.str(), 300)
            if error.code() in _DENIED:
                raise FatalError(
                    "source",
                    found=f"a cluster that refuses the login ({said})",
                    expected="credentials that it knows",
                    remedy="correct the secrets behind `source.user_env` and `source.password_env`, or `source.sasl`",
                )
            if _OWN_CERTIFICATE.search(error.str()):
                raise FatalError(
                    "source",
                    found=f"a cluster that refuses this spout's own certificate ({said})",
                    expected="a certificate that the cluster accepts",
                    remedy="mount it and its key, named in `source.tls_certificate_file` and `source.tls_key_file`",
                )
            if error.code() == KafkaError._SSL and any(word in error.str() for word in _TLS_REFUSALS):
                raise FatalError(
                    "source",
                    found=f"no TLS with the cluster ({said})",
                    expected="a certificate that `source.tls_ca_file` vouches for, with the broker's name in it",
                    remedy="mount the cluster's CA, named in `source.tls_ca_file`; write `source.servers` as the"
                    " brokers' certificates have them; without TLS: `source.tls: false`",
                )

    def _trouble(self, error: KafkaException | None) -> ConnectionError:
        """Passing trouble in words: what the brokers said is more than that a call timed out."""
        failed = _words(error) if error else "all brokers are down"
        said = next((e.str() for e in reversed(self._errors) if e.code() != KafkaError._ALL_BROKERS_DOWN), "")
        if not said and not self._is_secured:
            said = f"{failed}; a cluster that wants TLS or a login says no more than that"
        return ConnectionError(brief(said or failed, 300))


def client_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka's settings; FatalError if a variable with a credential is not there."""
    tls, sasl = options["tls"], options.get("sasl")
    settings: dict[str, Any] = {
        **_MEMORY,
        "check.crcs": True,
        "client.id": "spoutgen",
        "socket.timeout.ms": 30_000,
        **{
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in options["settings"].items()
        },
        "bootstrap.servers": options["servers"],
        # librdkafka wants a name, but only `commit` makes use of it.
        "group.id": options.get("group") or "spoutgen",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed" if options["read_committed"] else "read_uncommitted",
        "security.protocol": ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT"),
    }
    if sasl:
        settings["sasl.mechanism"] = sasl.upper()
        settings["sasl.username"] = _credential(options, "user_env")
        settings["sasl.password"] = _credential(options, "password_env")
    if tls:
        for option, name in _TLS_FILES.items():
            if options.get(option):
                settings[name] = options[option]
        if options.get("tls_key_password_env"):
            settings["ssl.key.password"] = _credential(options, "tls_key_password_env")
    return settings


_TLS_FILES = {
    "tls_ca_file": "ssl.ca.location",
    "tls_certificate_file": "ssl.certificate.location",
    "tls_key_file": "ssl.key.location",
}


def _credential(options: Mapping[str, Any], option: str) -> str:
    name = options.get(option)
    value = os.environ.get(name) if name else None
    if not value:
        raise FatalError(
            "source",
            found=f"no variable {name}" if name else f"no `source.{option}`",
            expected=f"the variable that `source.{option}` names, from a secret",
            remedy=f"give `secrets` an entry with `env: {name or 'NAME'}` and `source.{option}` that name",
        )
    return value


def _words(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
