"""One connection to RabbitMQ, with one channel that reads from one queue.

pika's BlockingConnection does nothing while nobody calls it, but a spout may wait for its worker for an hour. So a
small thread looks after the connection whenever the spout itself does not: heartbeats go out and come in. It takes
little from the socket each time, or a backlog would pile up in memory; the rest waits in the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pika
from pika.exceptions import AMQPConnectionError

from spout.fatal import FatalError
from spout.sources.rabbitmq.refusals import refusal

CONNECT = 15.0  # seconds until an attempt to connect has failed
STALLED_BYTES = 16 << 20  # when so much waits unread the thread stops: the server may as well have it back

# What goes wrong is told by the exceptions; pika's own lines would stand between the spout's JSON lines.
logging.getLogger("pika").addHandler(logging.NullHandler())
logging.getLogger("pika").propagate = False


class Message(NamedTuple):
    """One delivery, as pika hands it over."""

    method: Any
    properties: Any
    body: bytes


class Connection:
    """An open connection; FatalError where the server refuses what no retry mends, else what pika raises.

    All methods may be called from one thread only.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._messages: deque[Message] = deque()
        self._size = 0
        self._cancelled = False
        self._lost: Exception | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        with refusals(self._options):
            self._connection = pika.BlockingConnection(parameters(options))
            self._channel = self._connection.channel()
        self._thread = threading.Thread(target=self._look_after, name="rabbitmq-heartbeat", daemon=True)
        self._thread.start()

    def consume(self, prefetch: int, arguments: Mapping[str, Any]) -> None:
        """Let messages come, at most ``prefetch`` that are not acknowledged."""
        with self._lock, refusals(self._options):
            self._channel.basic_qos(prefetch_count=prefetch)
            self._channel.add_on_cancel_callback(self._cancel)
            self._channel.basic_consume(self._options["queue"], self._keep, arguments=dict(arguments))

    def receive(self, records: int, size: int, timeout: float) -> list[Message]:
        """Up to ``records`` messages, and no further one once ``size`` bytes are reached; [] after ``timeout``."""
        with self._lock, refusals(self._options):
            if self._lost:
                raise self._lost
            if not self._messages:
                self._turn(timeout)
            before = -1
            while before < len(self._messages) < records and self._size < size:
                before = len(self._messages)
                self._turn(0)
        taken: list[Message] = []
        while self._messages and len(taken) < records and size > 0:
            message = self._messages.popleft()
            taken.append(message)
            size -= len(message.body)
            self._size -= len(message.body)
        return taken

    def put_back(self, messages: list[Message]) -> None:
        """Let these be the next ones."""
        self._messages.extendleft(reversed(messages))
        self._size += sum(len(message.body) for message in messages)

    @property
    def waiting(self) -> int:
        """How many messages are here that nobody has asked for yet."""
        return len(self._messages)

    def ack(self, tag: int) -> None:
        """Acknowledge the message with this delivery tag and all before it."""
        with self._lock, refusals(self._options):
            self._channel.basic_ack(tag, multiple=True)

    def close(self) -> None:
        """Close it: what was not acknowledged goes back into its queue."""
        self._over.set()
        self._thread.join()
        self._messages.clear()
        with contextlib.suppress(Exception):  # it may have been lost long ago
            self._connection.close()

    def _turn(self, timeout: float) -> None:
        """Let pika read and write. A closed channel is no error to it, only silence."""
        self._connection.process_data_events(timeout)
        if self._cancelled:
            raise ConnectionError("the server cancelled the consumer: the queue was deleted, or its node went down")
        if not self._channel.is_open:
            reason = getattr(self._channel, "_closing_reason", None)
            raise reason or ConnectionError("the server closed the channel")

    def _keep(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._messages.append(Message(method, properties, body))
        self._size += len(body)

    def _cancel(self, _: Any) -> None:
        self._cancelled = True

    def _look_after(self) -> None:
        while not self._over.wait(heartbeat(self._options) / 4):
            if self._size < STALLED_BYTES and self._lock.acquire(blocking=False):
                try:
                    self._turn(0)
                except Exception as error:  # noqa: BLE001 (whatever it is, the next read raises it)
                    self._lost = error
                    return
                finally:
                    self._lock.release()


@contextlib.contextmanager
def refusals(options: Mapping[str, Any]) -> Iterator[None]:
    """What the server refuses for good becomes a FatalError."""
    try:
        yield
    except Exception as error:
        refused = refusal(error, options)
        if refused is None and isinstance(error, AMQPConnectionError) and not str(error):
            raise ConnectionError(f"no connection to {options['host']}: {error!r}") from error  # pika's says nothing
        if refused is None:
            raise
        raise refused from error


def parameters(options: Mapping[str, Any]) -> pika.ConnectionParameters:
    """What pika is told; FatalError for a variable or a file that is not there."""
    tls = options["tls"]
    return pika.ConnectionParameters(
        host=options["host"],
        port=options.get("port", 5671 if tls else 5672),
        virtual_host=options["vhost"],
        credentials=pika.PlainCredentials(options["user"], _password(options["password_env"])),
        ssl_options=pika.SSLOptions(_tls(options), options["host"]) if tls else None,
        heartbeat=heartbeat(options),
        socket_timeout=CONNECT,
        stack_timeout=CONNECT,
        client_properties={"connection_name": f"spoutgen {options['queue']}"},
    )


def heartbeat(options: Mapping[str, Any]) -> int:
    """Whole seconds, as AMQP has it: a connection without a byte for twice as long is dead."""
    return max(1, round(float(options["heartbeat"])))


def _password(variable: str) -> str:
    value = os.environ.get(variable)
    if value:
        return value
    raise FatalError(
        "config",
        found=f"no environment variable {variable}",
        expected="the one that `source.password_env` of spout.yaml names",
        remedy=f"`secrets: [{{name: ..., key: ..., env: {variable}}}]` gives it; to run here: export {variable}",
    )


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("tls_ca_file"))
        if "tls_cert_file" in options:
            context.load_cert_chain(options["tls_cert_file"], options.get("tls_key_file"))
    except OSError as error:  # ssl.SSLError is one, too
        files = [options[key] for key in ("tls_ca_file", "tls_cert_file", "tls_key_file") if key in options]
        raise FatalError(
            "source",
            found=f"{', '.join(files)}: {error.strerror or error}",
            expected="certificates and a key in PEM",
            remedy="mount them with `secrets: [{name: ..., mount: ...}]` and name them in `source.tls_..._file`",
        ) from error
    return context
