"""Starts spouts and pachds as quickly as a fork: everything is imported once, and nothing of gRPC is begun before.

    python zygote_v2.py

One JSON order a line on standard input: ``{"role": "spout"|"pachd", ...}``; ``{"pid": N}`` is the answer, and
``{"ended": N, "status": S}`` comes when the process is gone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ["GRPC_VERBOSITY"] = "NONE"
sys.dont_write_bytecode = True
HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"), str(HERE.parents[2])]

import pachyderm_sdk.client  # noqa: E402
import spout.__main__ as program  # noqa: E402
import spout.reconnect  # noqa: E402
from spout import api  # noqa: E402
from spout.marker import JsonShape  # noqa: E402
from spout.records import Limit, Record  # noqa: E402
from spout.sources import Kind  # noqa: E402

from spoutgen.local.home import Home  # noqa: E402
from spoutgen.local.pachd import pfs, pps, serve, system, transactions, wire  # noqa: E402

# Imported so that no child has to.
SERVICES = (pfs, pps, system, transactions)


class Numbers:
    """1, 2, ..., last, each a line of a length of its own; how many a read returns is chance."""

    identity, needs_ack = "numbers", False

    def __init__(self, options: Any) -> None:
        import random

        self._last = options["last"]
        self._random = random.Random(os.getpid())
        self._at = 0

    def open(self, position: Any) -> None:
        self._at = position or 0

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        first = self._at + 1
        if first > self._last:
            time.sleep(timeout)
            return []
        self._at = min(limit.until or self._last, self._at + self._random.randint(1, limit.records))
        return [Record(line(n), n, f"{n:06}") for n in range(first, self._at + 1)]

    def ack(self, position: Any) -> None:
        pass

    def close(self) -> None:
        pass


def line(n: int) -> bytes:
    """The line of a number."""
    return b"%d %s" % (n, bytes(48 + n % 10 for _ in range(n * 37 % 3000)))


# The steps of the protocol at which a spout can be killed: method, before or after it.
SPOUT_STEPS = tuple(
    f"{when} {step}"
    for step in ("resume", "clear", "finish", "read marker", "check head", "send", "message", "check commit", "wait")
    for when in ("before", "after")
)
PACHD_STEPS = ("modify: received", "modify: staged", "modify: committed", "finish: before", "finish: after")


class Doom:
    """Kills this process at the ``number``-th arrival at ``step``; or does ``harm`` there instead."""

    def __init__(self, step: str, number: int, harm: Callable[[], None] | None = None) -> None:
        self._step = step
        self._left = number
        self._harm = harm or (lambda: os.kill(os.getpid(), signal.SIGKILL))

    def reach(self, step: str) -> None:
        """We are there."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self._harm()


def doomed(owner: Any, name: str, step: str, doom: Doom) -> None:
    """Let the method ``name`` of ``owner`` arrive before and after ``step``."""
    plain = getattr(owner, name)

    def around(*args: Any, **keys: Any) -> Any:
        doom.reach(f"before {step}")
        answer = plain(*args, **keys)
        doom.reach(f"after {step}")
        return answer

    setattr(owner, name, around)


def spout_life(order: Any) -> None:
    """A spout, which dies when it is told to."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.environ.update(order["environment"])
    # A dead server is looked for again at once, and nobody waits long: there are hundreds of deaths to die.
    pachyderm_sdk.client.GRPC_CHANNEL_OPTIONS += [
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 200),
    ]
    spout.reconnect.FIRST_DELAY = 0.02
    kind = Kind(lambda options, *_: Numbers(options), lambda config, name: JsonShape(config.marker, config.name, name))
    program.kind_of = lambda config: kind
    doom = Doom(order["step"], order["number"])
    for name, step in (
        ("resume", "resume"),
        ("check_head", "check head"),
        ("send", "send"),
        ("check_commit", "check commit"),
        ("_marker_at", "read marker"),
        ("_finished", "wait"),
    ):
        doomed(api.ApiSink, name, step, doom)
    plain = api._requests

    def requests(*args: Any) -> Any:
        for request in plain(*args):
            doom.reach("before message")
            yield request
            doom.reach("after message")

    api._requests = requests
    make = api.Client.new_in_cluster

    def client() -> Any:
        made = make()
        doomed(made.pfs, "clear_commit", "clear", doom)
        doomed(made.pfs, "finish_commit", "finish", doom)
        return made

    api.Client.new_in_cluster = client
    if order.get("mutation"):
        exec(order["mutation"], {"api": api})
    os._exit(program.main())


def pachd_life(order: Any) -> None:
    """A pachd, which dies, or loses a reply, when it is told to."""

    def lose() -> None:
        raise wire.UnavailableError("the connection is gone")

    dooms = [Doom(step, number, lose if harm == "lost reply" else None) for step, number, harm in order["dooms"]]

    def checkpoint(step: str) -> None:
        for doom in dooms:
            doom.reach(step)

    ports = {"port": order["port"], "sidecar_port": order["sidecar_port"]}
    with serve(Home(Path(order["home"])), checkpoint=checkpoint, **ports) as pachd:
        ready = Path(order["ready"])
        ready.with_suffix(".new").write_text(json.dumps([pachd.port, pachd.sidecar_port]))
        ready.with_suffix(".new").rename(ready)
        while True:
            signal.pause()


ROLES = {"spout": spout_life, "pachd": pachd_life}


def main() -> None:
    """Take orders until there are no more, then let nobody live on."""
    children: set[int] = set()
    unread = b""
    while True:
        if select.select([0], [], [], 0.005)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *orders, unread = (unread + data).split(b"\n")
            for text in orders:
                order = json.loads(text)
                pid = os.fork()
                if pid == 0:
                    os.close(0)
                    try:
                        ROLES[order["role"]](order)
                    finally:
                        os._exit(99)
                children.add(pid)
                print(json.dumps({"pid": pid}), flush=True)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            children.discard(pid)
            print(json.dumps({"ended": pid, "status": os.waitstatus_to_exitcode(status)}), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
