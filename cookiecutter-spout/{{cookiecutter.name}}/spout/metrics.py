"""What the spout does, in numbers: counted by whoever does it, served to Prometheus where the spec asks for that.

`/metrics` is the text format of Prometheus (0.0.4), `/healthz` answers 200 or 503. Served from a thread of its own, so
that both answer while the loop waits for the worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spout.fatal import FatalError
from spout.records import Lag

# name -> (type, help); all of them begin with spout_ and are there from the start, at 0.
COUNTERS = {
    "records_total": "Records written.",
    "bytes_total": "Bytes of the records written.",
    "batches_total": "Batches written.",
    "commits_total": "Batches that are known to be committed.",
    "retries_total": "Times that the source was lost and is opened again.",
    "errors_total": "Records that could not be written: skipped or dead letters.",
}
GAUGES = {
    "lag_records": "Records that the source has beyond the last one read.",
    "lag_seconds": "Age of the oldest record that is not read yet.",
    "marker_age_seconds": "Seconds since the marker was written.",
    "source_up": "1 while the source is open, 0 while it is away.",
}


class Meter:
    """The numbers. Written by the loop's thread and read by the server's: each is one assignment."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._lag: Lag | None = None
        self._is_up = False
        self._marked_at: float | None = None
        self._waiting_since: float | None = None  # there are records, and none of them got on its way since

    def add(self, counter: str, amount: int = 1) -> None:
        """Count ``amount`` more of what ``counter`` counts."""
        self._counters[counter] += amount

    def source_is_up(self, is_up: bool) -> None:
        """The source was opened, or lost."""
        self._is_up = is_up

    def behind(self, lag: Lag | None) -> None:
        """The source is this far behind; None: it cannot tell. To be called while no batch is being written."""
        self._lag = lag
        if lag is not None and lag.records:
            self.waits()
        elif lag is not None and lag.records == 0:
            self._waiting_since = None  # what was ahead turned out to be no records, such as an aborted transaction's

    def waits(self) -> None:
        """There are records to be written."""
        if self._waiting_since is None:
            self._waiting_since = self._clock()

    def wrote(self, records: int, size: int) -> None:
        """A batch went through."""
        self.add("batches_total")
        self.add("records_total", records)
        self.add("bytes_total", size)
        self._waiting_since = None

    def marked(self) -> None:
        """The marker was written."""
        self._marked_at = self._clock()

    def waited(self) -> float:
        """Seconds for which there have been records while none was written; 0 if there are none."""
        since = self._waiting_since
        return 0.0 if since is None else self._clock() - since

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        gauges: dict[str, float | None] = {
            "lag_records": self._lag.records if self._lag else None,
            "lag_seconds": self._lag.seconds if self._lag else None,
            "marker_age_seconds": None if self._marked_at is None else round(self._clock() - self._marked_at, 3),
            "source_up": int(self._is_up),
        }
        lines = []
        for kind, helps, values in (("counter", COUNTERS, self._counters), ("gauge", GAUGES, gauges)):
            for name, told in helps.items():
                if values[name] is not None:
                    lines += [
                        f"# HELP spout_{name} {told}",
                        f"# TYPE spout_{name} {kind}",
                        f"spout_{name} {values[name]}",
                    ]
        return "\n".join(lines) + "\n"


def serve(meter: Meter, port: int, stalled_after: float, host: str = "") -> ThreadingHTTPServer:
    """Serve ``meter`` on ``port`` (0: any that is free) until the process ends, or ``shutdown`` is called."""

    class Answer(BaseHTTPRequestHandler):
        timeout = 30.0  # seconds that a client may be silent

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._say(200, meter.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif path == "/healthz":
                waited = meter.waited()
                is_well = waited <= stalled_after
                told = "ok" if is_well else f"there are records, and nothing was written for {waited:.0f} s"
                self._say(200 if is_well else 503, f"{told}\n", "text/plain; charset=utf-8")
            else:
                self._say(404, "/metrics and /healthz\n", "text/plain; charset=utf-8")

        def _say(self, status: int, body: str, kind: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Standard output is for the spout's own lines."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no news; standard error would not be JSON."""

    try:
        server = Server((host, port), Answer)
    except OSError as error:
        raise FatalError(
            "metrics",
            found=f"port {port}: {error.strerror}",
            expected="a port that is free",
            remedy="change `metrics.port` in spout.yaml",
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
