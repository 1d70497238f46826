"""Why a server refused a login: its SQLSTATE, which is the same in every language.

While it connects, libpq has nothing but the server's words, in whatever language that speaks. But it can trace the
messages that it gets, and one of them is the error with its code. So the login is tried once more with a trace, into
memory: what it says of passwords is never on a disk, and is gone with it.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

_CODE = re.compile(rb'^B\t\d+\tErrorResponse\t.*? C "([0-9A-Z]{5})"', re.MULTILINE)


def refusal(parameters: Mapping[str, Any]) -> str | None:
    """The SQLSTATE with which the server refuses a login; None if it does not answer so, or not soon."""
    if not hasattr(os, "memfd_create"):  # Linux has it, and so has libpq's trace
        return None
    deadline = time.monotonic() + int(parameters["connect_timeout"])
    trace = os.memfd_create("login")
    connection = pq.PGconn.connect_start(make_conninfo(**parameters).encode())
    try:
        connection.trace(trace)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        while (state := connection.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            socket, is_read = [connection.socket], state == pq.PollingStatus.READING
            left = max(0.0, deadline - time.monotonic())
            if not any(select.select(socket if is_read else [], [] if is_read else socket, [], left)):
                return None
        connection.untrace()  # what is in its buffer goes into the memory
        found = _CODE.search(os.pread(trace, 1 << 20, 0))
        return found[1].decode() if found else None
    except psycopg.Error:
        return None
    finally:
        with suppress(psycopg.Error):
            connection.untrace()  # or what is in its buffer would be written when the process ends
        connection.finish()
        os.close(trace)
