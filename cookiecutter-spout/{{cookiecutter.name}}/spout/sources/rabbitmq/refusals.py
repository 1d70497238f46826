"""What RabbitMQ says no to, told so that a person can mend it. All else is worth another attempt."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any

from spout.fatal import FatalError, brief

# (a part of the server's words, the sides of the disagreement, what to do), the first one that fits. {} are options.
_ANSWERS: tuple[tuple[str, str, str], ...] = (
    ("in exclusive use", "", ""),  # another consumer has it for itself, maybe the spout before this one: it may go
    ("connection limit", "", ""),
    ("delivery acknowledgement on channel", "", ""),  # consumer_timeout: the worker did not read for half an hour
    ("unknown delivery tag", "", ""),
    ("is down or inaccessible", "", ""),  # its node will come back, and with it the queue
    (
        "403 ACCESS_REFUSED - Login",
        "a user and a password that {host} knows",
        "set `source.user` and the secret behind `source.password_env` right",
    ),
    (
        "530 NOT_ALLOWED - vhost",
        "a vhost that exists on {host}",
        "set `source.vhost`, or create it: rabbitmqctl add_vhost {vhost}",
    ),
    (
        "NOT_ALLOWED - access to vhost",
        "a user that may use the vhost {vhost}",
        "rabbitmqctl set_permissions -p {vhost} {user} '' '' '^{queue}$'",
    ),
    (
        "frame_max",
        "a frame size that both sides accept",
        "raise `frame_max` in rabbitmq.conf: 131072 is the server's own default",
    ),
    (
        "NOT_FOUND - no queue",
        "the queue {queue}: a spout declares none",
        "create the queue, or set `source.queue` and `source.vhost`",
    ),
    (
        "ACCESS_REFUSED",
        "a user that may read the queue {queue}",
        "rabbitmqctl set_permissions -p {vhost} {user} '' '' '^{queue}$'",
    ),
    (
        "RESOURCE_LOCKED",
        "a queue that others may read",
        "declare the queue {queue} without `exclusive`: such a queue belongs to one connection alone",
    ),
    ("invalid arg 'x-priority'", "a queue: {queue} is a stream", "set `source.mode: stream`"),
    ("invalid arg 'x-stream-offset'", "a stream: {queue} is a queue", "set `source.mode: queue`"),
    ("PRECONDITION_FAILED", "a queue {queue} that can be consumed from", "declare the queue anew"),
    ("NOT_IMPLEMENTED", "a server that can do this", "RabbitMQ 3.9 or newer"),
)

# The server's code and words, within what pika makes of them: (404, "NOT_FOUND - ...") or (530) 'NOT_ALLOWED - ...'.
_ANSWER = re.compile(r"""\b([0-9]{3})[), ]+(["'])(.*)\2""", re.DOTALL)


def refusal(error: Exception, options: Mapping[str, Any]) -> FatalError | None:
    """``error`` as a FatalError, if no retry mends it."""
    if isinstance(error, ssl.SSLError):
        return _tls_refusal(error, options)
    answer = _ANSWER.search(str(error).replace("\\'", "'"))
    if answer is None:
        return None
    said = f"{answer[1]} {answer[3]}"
    for words, expected, remedy in _ANSWERS:
        if words in said:
            return _fatal(answer[3], expected, remedy, options) if remedy else None
    return None


def _tls_refusal(error: ssl.SSLError, options: Mapping[str, Any]) -> FatalError | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        expected = "a certificate for {host} that a known authority has signed"
        remedy = "name the authority's certificate in `source.tls_ca_file`, the server as in its own in `source.host`"
        return _fatal(error.verify_message, expected, remedy, options)
    if error.reason == "WRONG_VERSION_NUMBER":
        expected = "a port of {host} that speaks TLS"
        return _fatal("no TLS there", expected, "set `source.port` (5671 by default), or `source.tls: false`", options)
    if "CERTIFICATE_REQUIRED" in str(error.reason):
        expected = "a certificate of this client, which {host} asks for"
        return _fatal("none", expected, "set `source.tls_cert_file` and `source.tls_key_file`", options)
    return None


def _fatal(found: str, expected: str, remedy: str, options: Mapping[str, Any]) -> FatalError:
    def told(text: str) -> str:
        for name in ("host", "vhost", "queue", "user"):
            text = text.replace(f"{{{name}}}", str(options[name]))
        return text

    return FatalError("source", found=brief(found, 200), expected=told(expected), remedy=told(remedy))
