"""The source under test in a process of its own, asked one thing after another; the other end is ``inside/probe.py``.

Nothing that the source does can hurt the test: it is given a time for everything, and killed when that is over.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from spoutgen.conformance.outcome import FailedError, SkippedError
from spoutgen.conformance.subject import Subject

INSIDE = Path(__file__).with_name("inside")

# Seconds. A source may need long to connect or to close; a read knows its time, and a busy machine adds to it.
SLOW = 30.0
GRACE = 5.0

_ENOUGH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was seen from outside: its bytes by size, digest and first bytes."""

    name: str
    size: int
    digest: str
    head: str
    position: Any
    path: str | None = None
    fault: str | None = None
    position_fault: str | None = None
    path_fault: str | None = None

    def __str__(self) -> str:
        shown = f'"{self.head}{"..." if self.size > 30 else ""}"'
        return f"{self.name!r} at position {brief(self.position)}, {self.size} bytes, {shown}"


class RaisedError(FailedError):
    """The source raised an error where it should not; a FatalError says for itself what it is about."""

    def __init__(self, call: str, error: dict[str, Any]) -> None:
        if error["refusal"]:
            expected, found, remedy = error["refusal"]
            super().__init__(expected, f"{call}: {found}", remedy)
            return
        where = f" ({error['where']})" if error["where"] else ""
        super().__init__(
            f"{call} without an error",
            f"{error['type']}: {error['detail']}{where}",
            "mend the source, or what it reads; a running spout would close and open it again, over and over",
        )


class HungError(FailedError):
    """The source did not return in time; its process is killed."""

    def __init__(self, call: str, seconds: float) -> None:
        super().__init__(
            f"{call} returns in time",
            f"it had not returned after {seconds:g} seconds",
            "give every call to the outside a timeout; `read` returns [] when nothing came in its own",
        )


class DiedError(FailedError):
    """The process of the source ended by itself."""

    def __init__(self, call: str, status: int, words: str) -> None:
        end = f"signal {-status}" if status < 0 else f"status {status}"
        said = f'; its last line: "{brief(words, 200)}"' if words else ""
        super().__init__(f"{call} returns", f"the process ended with {end}{said}", "a source must not end its process")


class Probe:
    """One process with one source. Every method asks the source for one thing, and raises FailedError subclasses."""

    def __init__(self, subject: Subject, errors: IO[bytes]) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, str(INSIDE / "probe.py"), str(subject.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=subject.working_folder,
            env=subject.environment,
            start_new_session=True,
        )
        self._unread = b""

    def make(self) -> tuple[str, bool]:
        """Make a new source; returns its identity and whether it needs acks."""
        made = self._ask("make", "making the source", SLOW)
        return made["identity"], made["needs_ack"]

    def identity(self) -> str:
        """What the source calls itself now."""
        return str(self._ask("identity", "its identity", SLOW))

    def open(self, position: Any) -> None:
        """Open the source after ``position``."""
        self._ask("open", f"open({brief(position)})", SLOW, position=position)

    def read(self, records: int, size: int = _ENOUGH_BYTES, until: Any = None, timeout: float = 0.1) -> list[Seen]:
        """One read."""
        return self.timed_read(records, size, until, timeout)[0]

    def timed_read(
        self, records: int, size: int = _ENOUGH_BYTES, until: Any = None, timeout: float = 0.1
    ) -> tuple[list[Seen], float]:
        """One read, and the seconds that it took."""
        goal = "" if until is None else f", until={brief(until)}"
        call = f"read(records={records}, bytes={size}{goal}, timeout={timeout:g})"
        answer = self._ask("read", call, timeout + GRACE, records=records, size=size, until=until, timeout=timeout)
        return [_seen(record) for record in answer["records"]], answer["seconds"]

    def take(self, count: int, seconds: float) -> list[Seen]:
        """Reads of what is new, until there are ``count`` records or ``seconds`` are over."""
        records: list[Seen] = []
        ends_at = time.monotonic() + seconds
        while len(records) < count and time.monotonic() < ends_at:
            records += self.read(count - len(records))
        return records

    def replay(self, until: Any, at_once: int = 1000) -> list[Seen]:
        """Reads up to ``until``; ends without it when nothing came for a while, or far too much."""
        records: list[Seen] = []
        ends_at = time.monotonic() + GRACE
        while not records or records[-1].position != until:
            found = self.read(at_once, until=until)
            records += found
            if found:
                ends_at = time.monotonic() + GRACE
            if time.monotonic() > ends_at or len(records) > 10_000:
                break
        return records

    def ack(self, position: Any) -> None:
        """Acknowledge."""
        self._ask("ack", f"ack({brief(position)})", SLOW, position=position)

    def close(self) -> None:
        """Close the source."""
        self._ask("close", "close()", SLOW)

    def held(self) -> dict[str, int]:
        """How many files and threads the process has."""
        return dict(self._ask("held", "counting", SLOW))

    def files(self, until: Any) -> list[tuple[str, int, str]]:
        """Path, size and digest of the files of the batch that begins at the last ``open`` or ``files``."""
        made = self._ask("files", f"reading again up to {brief(until)}", SLOW, until=until)
        return [(path, size, digest) for path, size, digest in made]

    def marker(self, committed: Any, writing: Any) -> dict[str, Any]:
        """An announcement as marker files ([path, size told, size]), and read ``back``."""
        asked = {"committed": committed, "writing": writing}
        return dict(self._ask("marker", "writing and reading the marker", SLOW, **asked))

    def read_marker(self, file: Path) -> tuple[Any, Any]:
        """What a marker file says: committed, writing."""
        committed, writing = self._ask("read_marker", "reading the marker", SLOW, path=str(file))
        return committed, writing

    def replays(self, start: Any, until: Any, seconds: float, records: int, most: float) -> dict[str, Any]:
        """Memory over many replays of one range: as long as ``seconds`` and ``records`` ask, but ``most`` seconds."""
        asked = {"start": start, "until": until, "seconds": seconds, "records": records, "most": most}
        return dict(self._ask("replays", "replaying one range again and again", most + SLOW, **asked))

    def reads_on(self, start: Any, seconds: float) -> dict[str, Any]:
        """Memory while reading what comes after ``start``."""
        return dict(self._ask("reads_on", "reading on", seconds + SLOW, start=start, seconds=seconds))

    def end(self) -> None:
        """Let the process close its source and end; kill it if it does not."""
        try:
            if self._process.stdin:
                self._process.stdin.close()
            self._process.wait(GRACE)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        finally:
            if self._process.stdout:
                self._process.stdout.close()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def _ask(self, do: str, call: str, patience: float, **arguments: Any) -> Any:
        assert self._process.stdin
        request = json.dumps({"do": do, "patience": patience, **arguments})
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died(call) from error
        answer = json.loads(self._answer(call, patience))
        if "error" in answer:
            if answer["error"]["type"] == "UnrepeatableError":
                raise SkippedError(
                    "the source says that it can read no range again: what is not acknowledged may repeat"
                )
            raise RaisedError(call, answer["error"])
        return answer["answer"]

    def _answer(self, call: str, patience: float) -> bytes:
        assert self._process.stdout
        ends_at = time.monotonic() + patience
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], max(0.0, ends_at - time.monotonic()))[0]:
                self.kill()
                raise HungError(call, patience)
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise self._died(call)
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _died(self, call: str) -> DiedError:
        status = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        return DiedError(call, status, words[-1] if words else "")


@contextmanager
def bare_probe(subject: Subject) -> Iterator[Probe]:
    """A process under the project's runtime, without a source yet."""
    with TemporaryFile() as errors:
        probe = Probe(subject, errors)
        try:
            yield probe
        finally:
            probe.end()


@contextmanager
def probe_of(subject: Subject) -> Iterator[Probe]:
    """A new process with a new source."""
    with bare_probe(subject) as probe:
        probe.make()
        yield probe


def brief(value: Any, width: int = 60) -> str:
    """A value in a message: short, and in one line."""
    text = value if isinstance(value, str) else "None" if value is None else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _seen(told: dict[str, Any]) -> Seen:
    if "fault" in told:
        return Seen("", 0, "", "", None, fault=told["fault"])
    return Seen(**{"position": None, **told})
