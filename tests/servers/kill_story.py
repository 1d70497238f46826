"""A spout of any type on the local cluster, killed at random times; then run on to its end, and its end state counted.

    spout = LocalSpout(SPEC, tmp_path, {"DB_PASSWORD": "..."})
    verdict = tell(spout, wanted, kills=30, seed=1, meanwhile=server.maybe_restart)
    assert verdict == Verdict(kills=30, lost=0, repeated=0, strange=0), spout.words()

It runs what a user runs: `spoutgen new`, `spoutgen run`, as processes of their own; or, for a story of many lives, the
same as forks of a process that has everything imported (`warm.py`). With SPOUTGEN_SOAK=1 it is always the former.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forks import Forked, Nursery
from processes import running_in
from servers.proxy import Proxy

from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import Store
from spoutgen.spec import load_text

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds without a new commit after which a spout counts as stuck
SOAK = os.environ.get("SPOUTGEN_SOAK") == "1"
DRIVERS = {"kafka": ["confluent_kafka"], "postgres": ["psycopg"], "rabbitmq": ["pika"]}
OF_2 = [
    "grpc", "pachyderm_sdk", *(f"spoutgen.local.pachd.{name}" for name in ("pfs", "pps", "system", "worker", "wire")),
]  # fmt: skip
STALL = 1.0  # seconds that a stalled connection of a story stands still
SLOW = 200_000  # bytes a second of a slow one


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a story ended: how many kills, and how many of the records are ``lost``, ``repeated``, or nobody's."""

    kills: int
    lost: int
    repeated: int
    strange: int


class LocalSpout:
    """A project made from ``spec`` (the text of a spout.yaml) in ``folder``, in a cluster of its own.

    ``environment`` is added to that of `spoutgen run`: the values of the secrets, mostly. With ``is_warm`` its
    processes are forks.
    """

    def __init__(
        self, spec: str, folder: Path, environment: Mapping[str, str] | None = None, *, is_warm: bool = False
    ) -> None:
        loaded = load_text(spec, "spout.yaml").spec
        self.name = loaded.name
        self.target = loaded.pachyderm
        self.branch = "master"
        self._marker = loaded.marker.name
        self.home = folder / "cluster"
        self._folder = folder
        self._output = folder / "output"
        self._run: subprocess.Popen[bytes] | Forked | None = None
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._environment = {**os.environ, "PYTHONPATH": path, "SPOUTGEN_HOME": str(self.home), **(environment or {})}
        self._opened: Store | None = None
        (folder / "spout.yaml").write_text(spec, "utf-8")
        self._spoutgen("new", "spout.yaml", "-o", "project")
        imports = [*DRIVERS.get(loaded.source.type, []), *(OF_2 if self.target == 2 else [])]
        self._warm = Warm(folder, self._environment, imports) if is_warm and not SOAK else None

    def start(self, *more: str) -> None:
        """`spoutgen run`, with more arguments."""
        assert self._run is None
        arguments = ["run", "project", *more]
        with self._output.open("ab") as output:
            if self._warm:
                self._run = self._warm.nursery.start({"arguments": arguments}, output.fileno())
                return
            self._run = subprocess.Popen(
                [sys.executable, "-m", "spoutgen", *arguments],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def is_running(self) -> bool:
        """Whether `spoutgen run` goes on."""
        return self._run is not None and self._run.poll() is None

    def user_code(self) -> list[int]:
        """The processes of its user code."""
        return running_in((self._folder / "project").resolve())

    def kill(self) -> None:
        """SIGKILL of the worker, and with it of the user code: the pod is lost."""
        assert self._run
        self._run.kill()
        self._run.wait()
        self._run = None
        wait_until(lambda: not self.user_code(), "the user code died with its worker")

    def kill_user_code(self) -> bool:
        """SIGKILL of the user code alone, which the worker starts again; False if there was none at this moment."""
        found = self.user_code()
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
        if self._warm is not None:
            self._warm.close()
            self._warm = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __enter__(self) -> LocalSpout:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commits(self) -> int:
        """How many finished commits the output branch has."""
        with suppress(NotFoundError):  # the pipeline is not there yet
            return sum(commit.finished is not None for commit in self._store().commits(self.name, self.branch))
        return 0

    def newest(self) -> str | None:
        """The newest finished commit of the output branch."""
        with suppress(NotFoundError):
            newest = self._store().commits(self.name, self.branch, number=10)
            return next((commit.id for commit in newest if commit.finished is not None), None)
        return None

    def files(self) -> dict[str, bytes]:
        """Path to contents of all files at the newest finished commit of the output branch."""
        newest = self.newest()
        return dict(self._files_at(newest)) if newest else {}

    def lines(self) -> Counter[bytes]:
        """How often each line stands in those files, the marker (on 2.x it is among them) left out."""
        data = [data for path, data in self.files().items() if not path.startswith(f"/{self._marker}")]
        return Counter(line for each in data for line in each.split(b"\n") if line)

    def marker(self, name: str = "mymark") -> bytes:
        """The marker file."""
        branch = "marker" if self.target == 1 else self.branch
        return b"".join(self._store().get_file(self.name, branch, f"/{name}"))

    def words(self) -> str:
        """The last of what `spoutgen run` printed and of what the spout logged, for the message of a failing test."""
        logs = [self._output, *sorted(self.home.rglob("*.log"))]
        return "\n".join(path.read_text("utf-8", "replace")[-3000:] for path in logs if path.exists())

    def everything_said(self) -> bytes:
        """All that was printed, logged, rendered or committed: where a credential must never be found."""
        branches = [branch.name for branch in self._store().branches(self.name) if branch.head]
        committed = [data for branch in branches for _, data in self._files_at(branch)]
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        return b"\n".join([*(path.read_bytes() for path in files), *committed])

    def _files_at(self, ref: str) -> Iterator[tuple[str, bytes]]:
        folders = ["/"]
        while folders:
            for info in self._store().list_files(self.name, ref, folders.pop()):
                if info.kind == "dir":
                    folders.append(info.path)
                else:
                    yield info.path, b"".join(self._store().get_file(self.name, ref, info.path))

    def _store(self) -> Store:
        if self._opened is None:
            wait_until((self.home / "store.db").exists, "the cluster was made")
            self._opened = Store(self.home / "store.db")
        return self._opened

    def _spoutgen(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "spoutgen", *arguments]
        done = subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


class Warm:
    """The process that forks runs of `spoutgen`: it has imported that, and ``modules``."""

    def __init__(self, folder: Path, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, str(Path(__file__).with_name("warm.py")), str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*program, str(folder / "bytecode"), *modules],
                cwd=folder, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.nursery = Nursery(ours)

    def close(self) -> None:
        """End it."""
        self.nursery.close()
        self._process.wait(PATIENCE)


class Trouble:
    """What a story does beside its kills, if it is its ``meanwhile``: every third life the server is restarted or its
    connections, which go through ``proxy``, are harmed; ``done`` counts each kind.
    """

    def __init__(self, proxy: Proxy, restart: Callable[[], None], seed: int, *, kills: int = 30, restarts: int = 2):
        self.done: Counter[str] = Counter()
        self._proxy = proxy
        harm = {"drop": proxy.drop, "reset": proxy.reset, "stall": self._stall, "slow": lambda: proxy.slow_down(SLOW)}
        kinds = [("restart", restart)] * restarts + list(harm.items()) * kills
        self._plan = kinds[: kills // 3]
        random.Random(seed).shuffle(self._plan)

    def __call__(self, number: int) -> None:
        """Called in the life that ends with this kill."""
        if number % 3 == 1 and self._plan:
            self._proxy.go_on()
            kind, do = self._plan.pop()
            do()
            self.done[kind] += 1

    def _stall(self) -> None:
        """For a moment only: the lives that come are to commit something."""
        self._proxy.stall()
        threading.Timer(STALL, self._proxy.go_on).start()


def tell(
    spout: LocalSpout,
    wanted: Iterable[bytes],
    kills: int,
    seed: int,
    meanwhile: Callable[[int], None] = lambda number: None,
    longest_life: float = 0.8,
    feed: Callable[[int], None] = lambda number: None,
) -> Verdict:
    """Kill ``spout`` so often at random times, then run on until every line ``wanted`` is there; count what is.

    A life is killed up to ``longest_life`` seconds after its first new commit; one in five dies while it starts; one
    kill in four is of the user code alone. ``meanwhile`` is called in each life, with the number of the kill that ends
    it, to do more harm. ``feed`` is called as each life begins, where there are not records enough from the beginning:
    a quick spout has committed all that there was, and what the next life waits for must be to come.
    """
    chance = random.Random(seed)
    done = 0
    spout.start()
    while done < kills:
        before = spout.newest()
        feed(done)
        if chance.random() < 0.8:
            wait_for_a_commit(spout, before)
        meanwhile(done)
        time.sleep(chance.uniform(0, longest_life))
        assert spout.is_running(), spout.words()
        if chance.random() < 0.25 and spout.kill_user_code():
            done += 1
            continue
        spout.kill()
        done += 1
        spout.start()
    wanted = list(wanted)
    missing = run_to_the_end(spout, wanted)
    spout.stop()
    return count(spout.lines(), wanted, kills) if not missing else _stuck(spout, wanted, kills)


def wait_for_a_commit(spout: LocalSpout, before: object) -> None:
    """Wait until there is one more than ``before``, which was the newest."""
    deadline = time.monotonic() + PATIENCE
    while spout.newest() == before:
        assert spout.is_running(), spout.words()
        if time.monotonic() > deadline:
            raise AssertionError(f"no commit for {PATIENCE:g} s: {spout.words()}")
        time.sleep(0.01)


def run_to_the_end(spout: LocalSpout, wanted: Iterable[bytes]) -> int:
    """Wait until every line ``wanted`` is committed, or nothing is any more; returns how many are missing."""
    lines = set(wanted)
    newest, moved_at = None, time.monotonic()
    missing = len(lines)
    while missing:
        assert spout.is_running(), spout.words()
        looked_at = time.monotonic()
        if looked_at - moved_at > PATIENCE:
            break
        if (now := spout.newest()) != newest:
            newest, before, missing = now, missing, len(lines - spout.lines().keys())
            moved_at = looked_at if missing != before else moved_at
        # To count is to read everything there is: not all the time.
        time.sleep(max(0.02, time.monotonic() - looked_at) if missing else 0)
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


def _stuck(spout: LocalSpout, wanted: Iterable[bytes], kills: int) -> Verdict:
    verdict = count(spout.lines(), wanted, kills)
    raise AssertionError(f"no new line for {PATIENCE:g} s; so far {verdict}: {spout.words()}")
