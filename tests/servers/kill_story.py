"""A spout of any type on the local cluster, killed at random times; then run on to its end, and its end state counted.

    spout = LocalSpout(SPEC, tmp_path, {"DB_PASSWORD": "..."})
    verdict = tell(spout, wanted, kills=30, seed=1, meanwhile=server.maybe_restart)
    assert verdict == Verdict(kills=30, lost=0, repeated=0, strange=0), spout.words()

It runs what a user runs: `spoutgen new`, `spoutgen run`, as processes of their own.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from processes import spouts_of

from spoutgen.conformance.stage import committed_files
from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import Store
from spoutgen.spec import load_text

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds without a new commit after which a spout counts as stuck


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a story ended: how many kills, and how many of the records are ``lost``, ``repeated``, or nobody's."""

    kills: int
    lost: int
    repeated: int
    strange: int


class LocalSpout:
    """A project made from ``spec`` (the text of a spout.yaml) in ``folder``, in a cluster of its own.

    ``environment`` is added to that of `spoutgen run`: the values of the secrets, mostly.
    """

    def __init__(self, spec: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        loaded = load_text(spec, "spout.yaml").spec
        self.name = loaded.name
        self.branch = "master"
        self._marker = loaded.marker.name
        self.home = folder / "cluster"
        self._folder = folder
        self._output = folder / "output"
        self._run: subprocess.Popen[bytes] | None = None
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._environment = {**os.environ, "PYTHONPATH": path, "SPOUTGEN_HOME": str(self.home), **(environment or {})}
        (folder / "spout.yaml").write_text(spec, "utf-8")
        self._spoutgen("new", "spout.yaml", "-o", "project")

    def start(self, *more: str) -> None:
        """`spoutgen run`, with more arguments."""
        assert self._run is None
        with self._output.open("ab") as output:
            self._run = subprocess.Popen(
                [sys.executable, "-m", "spoutgen", "run", "project", *more],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def is_running(self) -> bool:
        """Whether `spoutgen run` goes on."""
        return self._run is not None and self._run.poll() is None

    def kill(self) -> None:
        """SIGKILL of the worker, and with it of the user code: the pod is lost."""
        assert self._run
        self._run.kill()
        self._run.wait()
        self._run = None
        wait_until(lambda: not spouts_of(self.home), "the user code died with its worker")

    def kill_user_code(self) -> bool:
        """SIGKILL of the user code alone, which the worker starts again; False if there was none at this moment."""
        found = spouts_of(self.home)
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return bool(found)

    def stop(self) -> None:
        """End the run in order, as Ctrl-C does."""
        assert self._run
        self._run.send_signal(signal.SIGTERM)
        self._run.wait(PATIENCE)
        self._run = None

    def close(self) -> None:
        """End the run in whatever way."""
        if self._run is not None:
            self.kill()

    def __enter__(self) -> LocalSpout:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commits(self) -> int:
        """How many finished commits the output branch has."""
        return len(self._finished())

    def files(self) -> dict[str, bytes]:
        """Path to contents of all files at the newest finished commit of the output branch."""
        finished = self._finished()
        if not finished:
            return {}
        with self._store() as store:
            paths = committed_files(store, self.name, finished[0])
            return {path: b"".join(store.get_file(self.name, finished[0], path)) for path in paths}

    def lines(self) -> Counter[bytes]:
        """How often each line stands in those files, the marker (on 2.x it is among them) left out."""
        data = [data for path, data in self.files().items() if not path.startswith(f"/{self._marker}")]
        return Counter(line for each in data for line in each.split(b"\n") if line)

    def marker(self, name: str = "mymark") -> bytes:
        """The marker file."""
        with self._store() as store:
            return b"".join(store.get_file(self.name, "marker", f"/{name}"))

    def words(self) -> str:
        """The last of what `spoutgen run` printed and of what the spout logged, for the message of a failing test."""
        logs = [self._output, *sorted(self.home.rglob("*.log"))]
        return "\n".join(path.read_text("utf-8", "replace")[-3000:] for path in logs if path.exists())

    def everything_said(self) -> bytes:
        """All that was printed, logged, rendered or committed: where a credential must never be found."""
        with self._store() as store:
            branches = [branch.name for branch in store.branches(self.name)]
            committed = [
                data
                for branch in branches
                for path in committed_files(store, self.name, branch)
                for data in store.get_file(self.name, branch, path)
            ]
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        return b"\n".join([*(path.read_bytes() for path in files), *committed])

    def _finished(self) -> list[str]:
        """The finished commits of the output branch, the newest first; none while the pipeline is not there yet."""
        with self._store() as store, suppress(NotFoundError):
            return [commit.id for commit in store.commits(self.name, self.branch) if commit.finished is not None]
        return []

    def _store(self) -> Store:
        wait_until((self.home / "store.db").exists, "the cluster was made")
        return Store(self.home / "store.db")

    def _spoutgen(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "spoutgen", *arguments]
        done = subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def tell(
    spout: LocalSpout,
    wanted: Iterable[bytes],
    kills: int,
    seed: int,
    meanwhile: Callable[[int], None] = lambda number: None,
    longest_life: float = 0.8,
) -> Verdict:
    """Kill ``spout`` so often at random times, then run on until every line ``wanted`` is there; count what is.

    A life is killed up to ``longest_life`` seconds after its first new commit; one in five dies while it starts; one
    kill in four is of the user code alone. ``meanwhile`` is called before each kill with its number, to do more harm.
    """
    wanted = list(wanted)
    chance = random.Random(seed)
    done = 0
    spout.start()
    while done < kills:
        _live_a_little(spout, chance, longest_life)
        meanwhile(done)
        assert spout.is_running(), spout.words()
        if chance.random() < 0.25 and spout.kill_user_code():
            done += 1
            continue
        spout.kill()
        done += 1
        spout.start()
    missing = run_to_the_end(spout, wanted)
    spout.stop()
    return count(spout.lines(), wanted, kills) if not missing else _stuck(spout, wanted, kills)


def run_to_the_end(spout: LocalSpout, wanted: Iterable[bytes]) -> int:
    """Wait until every line ``wanted`` is committed, or nothing is any more; returns how many are missing."""
    lines = set(wanted)
    before, moved_at = -1, time.monotonic()
    while missing := len(lines - spout.lines().keys()):
        assert spout.is_running(), spout.words()
        if missing != before:
            before, moved_at = missing, time.monotonic()
        if time.monotonic() - moved_at > PATIENCE:
            break
        time.sleep(0.05)
    return missing


def count(found: Counter[bytes], wanted: Iterable[bytes], kills: int = 0) -> Verdict:
    """What is missing, what is there too often, and what nobody wrote."""
    expected = Counter(wanted)
    lost = sum((expected - found).values())
    repeated = sum(more for line, more in (found - expected).items() if line in expected)
    strange = sum(more for line, more in (found - expected).items() if line not in expected)
    return Verdict(kills, lost, repeated, strange)


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition; AssertionError if it does not come in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(0.01)


def _live_a_little(spout: LocalSpout, chance: random.Random, longest_life: float) -> None:
    if chance.random() < 0.8:
        before, deadline = spout.commits(), time.monotonic() + PATIENCE
        while spout.commits() == before:
            assert spout.is_running(), spout.words()
            if time.monotonic() > deadline:
                raise AssertionError(f"no commit for {PATIENCE:g} s: {spout.words()}")
            time.sleep(0.005)
    time.sleep(chance.uniform(0, longest_life))


def _stuck(spout: LocalSpout, wanted: Iterable[bytes], kills: int) -> Verdict:
    verdict = count(spout.lines(), wanted, kills)
    raise AssertionError(f"no new line for {PATIENCE:g} s; so far {verdict}: {spout.words()}")
