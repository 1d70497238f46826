"""Starts the processes of stories as quickly as a fork: everything is imported once, nothing of gRPC is begun before.

    python zygote_v2.py

One JSON order a line on standard input: ``{"order": K, "role": "spout"|"pachd"|"stranger", ...}``. ``{"order": K,
"pid": N}`` is the answer; ``{"stopped": N}`` comes when a process has stopped itself, ``{"ended": N, "status": S}``
when it is gone.
"""

from __future__ import annotations

import gc
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

import betterproto  # noqa: E402
import mutations_v2  # noqa: E402
import pachyderm_sdk.client  # noqa: E402
import spout.__main__ as program  # noqa: E402
import spout.reconnect  # noqa: E402
from pachyderm_sdk.api import pfs as pfs_messages  # noqa: E402
from spout import api  # noqa: E402
from spout.marker import JsonShape  # noqa: E402
from spout.sources import Kind  # noqa: E402
from streams_v2 import Numbers  # noqa: E402

from spoutgen.local.home import Home  # noqa: E402
from spoutgen.local.pachd import pfs, pps, serve, system, transactions, wire  # noqa: E402

# Imported so that no child has to.
SERVICES = (pfs, pps, system, transactions)
HARMS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


class Doom:
    """Does ``harm`` to this process at the ``number``-th arrival at ``step``."""

    def __init__(self, step: str, number: int, harm: Callable[[], None]) -> None:
        self._step = step
        self._left = number
        self._harm = harm

    def reach(self, step: str) -> None:
        """We are there."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self._harm()


def doomed(owner: Any, name: str, step: str, reach: Callable[[str], None]) -> None:
    """Let the method ``name`` of ``owner`` arrive before and after ``step``."""
    plain = getattr(owner, name)

    def around(*args: Any, **keys: Any) -> Any:
        reach(f"before {step}")
        answer = plain(*args, **keys)
        reach(f"after {step}")
        return answer

    setattr(owner, name, around)


def spout_life(order: Any) -> None:
    """A spout, which dies or stops when it is told to."""
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
    api.PATIENCE = order["finish_patience"]
    kind = Kind(lambda options, *_: Numbers(options), lambda config, name: JsonShape(config.marker, config.name, name))
    program.kind_of = lambda config: kind
    mutations_v2.MUTATIONS[order["mutation"]].take_out()
    dooms = [Doom(step, number, HARMS[harm]) for step, number, harm in order["dooms"]]
    if dooms:
        _arm(lambda step: [doom.reach(step) for doom in dooms])
    os._exit(program.main())


def _arm(reach: Callable[[str], Any]) -> None:
    """Let the runtime say where it is."""
    for name, step in (
        ("resume", "resume"),
        ("check_head", "check head"),
        ("send", "send"),
        ("check_commit", "check commit"),
        ("_marker_at", "read marker"),
        ("_finished", "wait"),
    ):
        doomed(api.ApiSink, name, step, reach)
    plain = api._requests

    def requests(*args: Any) -> Any:
        for request in plain(*args):
            reach("before message")
            yield request
            reach("after message")

    api._requests = requests
    make = api.Client.new_in_cluster

    def client() -> Any:
        made = make()
        doomed(made.pfs, "clear_commit", "clear", reach)
        doomed(made.pfs, "finish_commit", "finish", reach)
        return made

    api.Client.new_in_cluster = client


def pachd_life(order: Any) -> None:
    """A pachd, which dies, or loses a reply, when it is told to."""

    def lose() -> None:
        with Path(order["lost"]).open("a") as lost:
            lost.write("a reply\n")
        raise wire.UnavailableError("the connection is gone")

    harms = {**HARMS, "lost reply": lose}
    dooms = [Doom(step, number, harms[harm]) for step, number, harm in order["dooms"]]

    def checkpoint(step: str) -> None:
        for doom in dooms:
            doom.reach(step)
        if step == "finish: before" and order["slow"]:
            time.sleep(order["slow"])

    ports = {"port": order["port"], "sidecar_port": order["sidecar_port"]}
    with serve(Home(Path(order["home"])), checkpoint=checkpoint, **ports):
        Path(order["ready"]).touch()
        while True:
            signal.pause()


def stranger_life(order: Any) -> None:
    """Somebody else with the SDK, who puts a file in the way (``data``), or takes a file or folder away."""
    branch = pfs_messages.Branch.from_uri("dots@master")
    client = pachyderm_sdk.Client(port=order["port"])
    where, path = pfs_messages.Commit(branch=branch, repo=branch.repo), order["path"]
    if order["data"] is None:
        change = pfs_messages.ModifyFileRequest(delete_file=pfs_messages.DeleteFile(path=path))
    else:
        change = pfs_messages.ModifyFileRequest(add_file=pfs_messages.AddFile(path=path, raw=order["data"].encode()))
    try:
        client.pfs.modify_file(iter([pfs_messages.ModifyFileRequest(set_commit=where), change]))
    except Exception:  # the server may be dead; whoever sent us sends us again
        os._exit(1)
    os._exit(0)


ROLES = {"spout": spout_life, "pachd": pachd_life, "stranger": stranger_life}


def tell(**news: Any) -> None:
    """One line for whoever started us."""
    print(json.dumps(news), flush=True)


def fork(order: Any) -> int:
    """A process that does what the order says and nothing else."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            ROLES[order["role"]](order)
        finally:
            os._exit(99)
    return pid


def reap(children: set[int]) -> None:
    """Tell of all that has ended or stopped."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return
        if os.WIFSTOPPED(status):
            tell(stopped=pid)
        else:
            children.discard(pid)
            tell(ended=pid, status=os.waitstatus_to_exitcode(status))


def warm_up() -> None:
    """What each process would do for itself once: betterproto looks at a message's class when it is first used."""
    for message in vars(pfs_messages).values():
        if isinstance(message, type) and issubclass(message, betterproto.Message):
            message().parse(bytes(message()))
    gc.collect()
    gc.freeze()  # so that the children do not copy what they never change


def main() -> None:
    """Take orders until there are no more, then let nobody live on."""
    warm_up()
    children: set[int] = set()
    unread = b""
    news, wakeup = os.pipe()
    for end in (news, wakeup):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup)
    while True:
        ready, _, _ = select.select([0, news], [], [])
        if news in ready:
            os.read(news, 1 << 12)
            reap(children)
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *orders, unread = (unread + data).split(b"\n")
            for text in orders:
                order = json.loads(text)
                pid = fork(order)
                children.add(pid)
                tell(order=order["order"], pid=pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
