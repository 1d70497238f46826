"""A story on 2.x: a spout and a pachd that are struck again and again, until all that was to happen has happened.

`Story.tell` tells one, `tell_all` many, two side by side. The stream of records has no end until then, so every kill
of a story takes place. Besides kills there are lost replies, open heads with half a batch in them, files in the way
(the commit is refused after it was sent), and zombies: a spout that stops at any step, is replaced, and goes on later.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from processes_v2 import Zygote
from streams_v2 import MOST, PACHD_STEPS, SPOUT_STEPS, boundary_after, line, name_of, number_in
from verdict_v2 import Verdict, committed, judge

from spoutgen.local import pipelines
from spoutgen.local.home import Home
from spoutgen.local.model import Put
from spoutgen.local.refused import NotFoundError, UnfinishedParentError
from spoutgen.local.spec import parse
from spoutgen.local.store import Store

SIDE_BY_SIDE = 2
MEMORY = "/dev/shm"  # a SIGKILL loses nothing that was written, to whatever it was
PATIENCE = 120.0  # seconds without a commit, on a busy machine
LONGEST = 400.0  # seconds for a whole story
REFUSALS = 6  # how often a spout waits in vain for one commit, or is refused by one marker
LONG_LIFE = 25  # commits
# Steps that come once in a life.
ONCE = ("resume", "clear", "finish", "read marker")
SPOUT = {"pipeline": {"name": "dots"}, "transform": {"image": "dots:1", "cmd": ["x"]}, "spout": {}}
# output.path and output.format; in "fixed" batches end in the same places in every life
MODES = {
    "lines": ("data/{first}-{last}", "lines"),
    "fixed": ("data/{first}-{last}", "lines"),
    "files": ("data/{first}", "files"),
    "first": ("data/{first}", "lines"),
}


@dataclass(slots=True)
class Life:
    """A spout that runs: its process, and what is to become of it where."""

    pid: int
    step: str
    harm: str
    born: int  # how many commits there were


@dataclass
class Story:
    """What happens, by chance: so many deaths of the spout and of pachd, lost replies, heads that a restart leaves
    open, ``zombies``, and commits that are refused.

    ``steps`` are where spouts die and stop (at the ``number``-th time; 0: any of the first three), ``overtaker`` where
    the one that replaces a zombie stops until that is dead ("": anywhere, or not at all), ``behind`` how many commits
    the zombie misses (0: up to three); with ``dies_late`` it dies with its first write. ``slow``: seconds that pachd
    takes to finish a commit.
    """

    seed: int
    mode: str = "lines"
    spout_kills: int = 0
    pachd_kills: int = 0
    lost_replies: int = 0
    restarts: int = 0
    zombies: int = 0
    refusals: int = 0
    steps: tuple[str, ...] = SPOUT_STEPS
    number: int = 0
    overtaker: str = ""
    behind: int = 0
    dies_late: bool = False
    forgets: bool = False
    slow: float = 0.0
    finish_patience: float = 5.0  # instead of a minute: it is waited for where one stops and the other waits for it
    mutation: str = ""
    verdict: Verdict = field(default_factory=Verdict, init=False)

    def tell(self, zygote: Zygote) -> Verdict:
        """Tell it to its end, and look at what stands there."""
        self._zygote, self._random = zygote, random.Random(self.seed)
        self._folder = Path(tempfile.mkdtemp(prefix="story-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self._home = Home(self._folder / "home")
        self._ports = [_free_port(), _free_port()]
        self._spout: Life | None = None
        self._zombie: Life | None = None
        self._pachd = self._stranger = 0
        self._left = {"spout": self.spout_kills, "pachd": self.pachd_kills, "zombie": self.zombies}
        self._refusals_left, self._obstacle, self._is_removed = self.refusals, "", False
        self._head, self._moves, self._end = None, 0, 0
        self._began = self._moved_at = time.monotonic()
        try:
            with Store.create(self._home.store) as store:
                store.create_repo("dots")
                pipelines.insert(store, parse(SPOUT), "")
                pipelines.set_state(store, "dots", "running")
                try:
                    self._live(store)
                finally:
                    self._end_all()
                judge(self.verdict, store, self._end)
                self.verdict.backwards -= min(self.verdict.backwards, 2 * self.verdict.zombies)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return self.verdict

    def _live(self, store: Store) -> None:
        while not self.verdict.stuck:
            self._keep_pachd()
            self._keep_spout(store)
            self._keep_zombie()
            self._keep_obstacle(store)
            self._look(store)
            if self._end and committed(store) == self._end:
                return
            self._zygote.wait_for_news(0.01)

    def _look(self, store: Store) -> None:
        """See whether there is a new commit, or no hope of one; end the stream when nothing is to come any more."""
        head = store.head("dots", "master")
        if head != self._head:
            self._head, self._moves, self._moved_at = head, self._moves + 1, time.monotonic()
            self._log_before = len(self._log())
        elif time.monotonic() - self._moved_at > PATIENCE or time.monotonic() - self._began > LONGEST:
            self.verdict.stuck = f"nothing happens any more: {self._last_words()}"
        elif (
            time.monotonic() - self._moved_at > 4 * self.finish_patience
            and self._log()[self._log_before :].count("DEADLINE_EXCEEDED") >= REFUSALS
        ):
            self.verdict.stuck = "waits for ever for a commit that nobody finishes"
        is_over = not (any(self._left.values()) or self._zombie or self._refusals_left or self._obstacle)
        is_over = is_over and self._lost() >= self.lost_replies and committed(store) is not None
        if not self._end and is_over:
            highest = max(committed(store, commit.id) or 0 for commit in store.commits("dots", "master"))
            self._end = max(highest, number_in(self._folder / "acknowledged") or 0) + 3 * MOST
            new = self._folder / "end.new"
            new.write_text(str(self._end))
            new.rename(self._folder / "end")

    # pachd

    def _keep_pachd(self) -> None:
        if self._pachd:
            status = self._zygote.status(self._pachd)
            if status is None:
                return
            assert status == -signal.SIGKILL, f"pachd ended with {status}"
            self._left["pachd"] -= 1
            self.verdict.kills.append("pachd")
        dooms: list[tuple[str, int, str]] = []
        if self._left["pachd"]:
            dooms.append((self._random.choice(PACHD_STEPS), self._random.randint(1, 4), "kill"))
        for number in range(1, self.lost_replies - self._lost() + 1):
            dooms.append(("modify: committed", 2 * number, "lost reply"))
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        self._pachd = self._zygote.start(
            role="pachd", home=str(self._home.folder), ready=str(ready), lost=str(self._folder / "lost"),
            port=self._ports[0], sidecar_port=self._ports[1], dooms=dooms, slow=self.slow,
        )  # fmt: skip
        while not ready.exists() and self._zygote.status(self._pachd) is None:
            self._zygote.wait_for_news(0.005)

    def _lost(self) -> int:
        """How many replies were lost so far."""
        lost = self._folder / "lost"
        return len(lost.read_text().splitlines()) if lost.exists() else 0

    # The spout, and the one that it replaced

    def _keep_spout(self, store: Store) -> None:
        if self._spout is not None:
            if self._zygote.is_stopped(self._spout.pid):
                if self._zombie is None and not self._left["zombie"]:
                    self._zygote.go_on(self._spout.pid)  # it was to stop while the last zombie lived
                elif self._zombie is None:
                    self._zombie, self._spout, self._is_late = self._spout, None, True
                    self._left["zombie"] -= 1
                    self.verdict.zombies += 1
                    self._due = self._moves + (self.behind or self._random.randint(0, 3))
            elif (status := self._zygote.status(self._spout.pid)) is not None:
                self._bury(self._spout, status)
                self._spout = None
            elif self._is_overdue(self._spout):
                self._spout.step, self._spout.born = "at any time", self._moves
                with suppress(ProcessLookupError):
                    os.kill(self._spout.pid, signal.SIGKILL)
        if self._spout is None and not self.verdict.stuck:
            self._spout = self._start(store)

    def _is_overdue(self, life: Life) -> bool:
        """Whether it lives on though others are to die: the zombie beside it took its step, or it had none."""
        is_awaited = self._zombie is None and self._left["spout"] + self._left["zombie"] > 0
        return is_awaited and self._moves - life.born > (LONG_LIFE if life.harm else 2)

    def _keep_zombie(self) -> None:
        """Let it go on when the other one has gone further, or stands still; kill it some commits later."""
        if self._zombie is None:
            return
        status = self._zygote.status(self._zombie.pid)
        is_other_still = self._spout is not None and self._zygote.is_stopped(self._spout.pid)
        if status is not None:
            self._bury(self._zombie, status)
            self._zombie = None
            if self._spout and is_other_still:
                self._zygote.go_on(self._spout.pid)
        elif self._is_late and (is_other_still or (self._moves >= self._due and not self.overtaker)):
            self._is_late, self._due = False, self._moves + self._random.randint(1, 3)
            self._zygote.go_on(self._zombie.pid)
        elif not self._is_late and self._moves >= self._due and not self.dies_late:
            with suppress(ProcessLookupError):
                os.kill(self._zombie.pid, signal.SIGKILL)
            self._due += 1000

    def _start(self, store: Store) -> Life:
        step, harm = self._fate()
        if store.head("dots", "master") is None and step.endswith("read marker"):
            step = "after check commit"  # there is no marker to be read so far
        if step.endswith(("clear", "finish")) or self.restarts > self.verdict.restarts:
            self._leave_an_open_head(store)
        number = self.number or (1 if step.endswith(ONCE) or self._zombie else self._random.randint(1, 3))
        dooms = [(step, number, harm)] * bool(harm)
        if self.dies_late and harm == "stop" and not self._zombie:
            dooms.append(("after send", number, "kill"))
        path, form = MODES[self.mode]
        source = {"type": "numbers", "folder": str(self._folder)}
        source |= {"fixed": self.mode == "fixed", "forgets": self.forgets}
        config = {
            "version": 1, "name": "dots",
            "source": source,
            "marker": {"name": "mymark"}, "output": {"path": path, "format": form},
            "batch": {"records": MOST, "bytes": 1 << 20, "wait": 0}, "target": {"pachyderm": 2, "branch": "master"},
        }  # fmt: skip
        environment = {
            "SPOUT_CONFIG": json.dumps(config), "PPS_PROJECT_NAME": "default",
            "PACHD_PEER_SERVICE_HOST": "127.0.0.1", "PACHD_PEER_SERVICE_PORT": str(self._ports[1]),
        }  # fmt: skip
        pid = self._zygote.start(
            role="spout", environment=environment, log=str(self._folder / "log"), dooms=dooms,
            mutation=self.mutation, finish_patience=self.finish_patience,
        )  # fmt: skip
        return Life(pid, step, harm, self._moves)

    def _fate(self) -> tuple[str, str]:
        """Where the next spout is struck, and whether it dies there or stops."""
        kills, zombies = self._left["spout"], self._left["zombie"]
        if self._zombie is not None:
            stops = self.overtaker or self._random.random() < 0.5
            return (self.overtaker or self._random.choice(self.steps), "stop") if stops else ("", "")
        if not kills + zombies:
            return "", ""
        harm = "stop" if self._random.randrange(kills + zombies) < zombies else "kill"
        return self._random.choice(self.steps), harm

    def _leave_an_open_head(self, store: Store) -> None:
        """What a start of the pipeline leaves, and in it half of what a client wrote: a line that stands elsewhere."""
        self.verdict.restarts += 1
        with suppress(UnfinishedParentError):
            commit = store.start_commit("dots", "master")
            store.put_files("dots", [Put(commit.id, "/data/half", [line(1), b"\n"], False)])

    def _bury(self, life: Life, status: int) -> None:
        """Note how a spout ended. Only a file in the way may end it by itself."""
        if status == -signal.SIGKILL:
            is_zombie = life is self._zombie
            self.verdict.kills.append(f"{'zombie' if is_zombie else 'spout'} {life.step}")
            if not is_zombie:
                self._left["spout"] = max(0, self._left["spout"] - 1)
        elif status == 1 and self._obstacle and "which Pachyderm refused" in self._last_words():
            self.verdict.refused += 1
            self._is_removed = self._is_removed or self._random.random() < 0.6
        elif status == 1 and '"subject": "marker"' in self._last_words():
            self.verdict.stuck = f"the marker is refused: {self._last_words()}"
        else:
            self.verdict.stuck = f"the spout ended with {status}: {self._last_words()}"

    # Files in the way

    def _keep_obstacle(self, store: Store) -> None:
        """Put a folder where a file of the spout will be, now and then, and take it away when it was in the way."""
        if self._stranger:
            status = self._zygote.status(self._stranger)
            if status is None:
                return
            self._stranger = 0
            if status:  # the server was dead
                self._send_stranger()
            return
        if self._obstacle and self._is_sent_to_remove:
            if committed(store) is None:
                return  # it may have gone into an open head, which is going to be cleared
            if self._stands(store):
                self._send_stranger()
            else:
                self._obstacle = ""
        elif self._obstacle:
            if self._is_removed or (committed(store) or 0) >= self._obstacle_at:
                self._is_sent_to_remove = True
                self._send_stranger()
        elif self._refusals_left and (at := committed(store)) is not None and self._random.random() < 0.1:
            self._refusals_left -= 1
            self._is_sent_to_remove = self._is_removed = False
            for _ in range(self._random.randint(2, 12)):
                at = boundary_after(at) if self.mode == "fixed" else at + 1
            self._obstacle_at = at + 1
            last = f"-{name_of(boundary_after(at))}" if self.mode == "fixed" else ""
            self._obstacle = f"/data/{name_of(at + 1)}{last}/"
            self._send_stranger()

    def _stands(self, store: Store) -> bool:
        """Whether the obstacle is there."""
        try:
            return any(info.path.endswith("/x") for info in store.list_files("dots", "master", self._obstacle))
        except NotFoundError:
            return False

    def _send_stranger(self) -> None:
        is_removal = self._is_sent_to_remove
        self.verdict.strangers += 1
        self._stranger = self._zygote.start(
            role="stranger", port=self._ports[1], path=self._obstacle + ("" if is_removal else "x"),
            data=None if is_removal else "in the way",
        )  # fmt: skip

    # The rest

    def _end_all(self) -> None:
        spouts = [life.pid for life in (self._spout, self._zombie) if life]
        for pid in filter(None, (*spouts, self._pachd, self._stranger)):
            if self._zygote.status(pid) is None:
                with suppress(ProcessLookupError):  # it is gone, and the news of it are under way
                    os.kill(pid, signal.SIGKILL)
                self._zygote.wait(pid)

    def _log(self) -> str:
        log = self._folder / "log"
        return log.read_text() if log.exists() else ""

    def _last_words(self) -> str:
        return " | ".join(self._log().splitlines()[-3:]) or "no log"


def tell_all(zygote: Zygote, stories: Iterable[Story], side_by_side: int = SIDE_BY_SIDE) -> list[Verdict]:
    """The verdicts of stories, in their order."""
    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(lambda story: story.tell(zygote), stories))


def _free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody meanwhile: below those that clients get."""
    while True:
        with socket.socket() as taken, suppress(OSError):
            taken.bind(("127.0.0.1", random.SystemRandom().randrange(15_000, 32_000)))
            port: int = taken.getsockname()[1]
            return port
