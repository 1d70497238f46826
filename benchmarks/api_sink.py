"""The runtime's ApiSink beside the bare SDK writing the same files into the same local pachd, in turn.

The bare SDK writes a batch's data file and a marker file in one ModifyFile stream and waits until the commit is
finished, which is the least that a spout can do; it looks at nothing else. The server is a process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).parents[1] / "cookiecutter-spout" / "{{cookiecutter.name}}"
ROUNDS = 7
BATCHES = 12  # each measurement

Row = tuple[str, str, str, bool]

SERVER = """
import json, sys
from pathlib import Path
from spoutgen.local.home import Home
from spoutgen.local.pachd import serve
with serve(Home(Path(sys.argv[1]))) as pachd:
    print(json.dumps([pachd.port, pachd.sidecar_port]), flush=True)
    sys.stdin.read()
"""


def measure() -> Iterator[Row]:
    """The rows of the table: what, measured, target, met."""
    sys.path.insert(0, str(RUNTIME))
    os.environ["GRPC_VERBOSITY"] = "NONE"
    sys.dont_write_bytecode = True  # cookiecutter copies what it finds in a template
    with served() as (main, sidecar):
        for records, size in ((1000, 200), (40000, 200), (1, 8 << 20)):
            yield beside(main, sidecar, records, size)


def beside(main: Any, sidecar: Any, records: int, size: int) -> Row:
    """Records a second of both, pair by pair; each has a pipeline of its own."""
    from spout.records import Record

    name = f"r{records}"
    batch = [Record(b"x" * size, n + 1, f"{n + 1:06}") for n in range(records)]
    writers = [bare(main, sidecar, f"{name}-bare", batch), ours(main, sidecar, f"{name}-sink", batch)]
    rates: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for writer, rate in zip(writers, rates, strict=True):
            began = time.perf_counter()
            for _ in range(BATCHES):
                writer()
            rate.append(records * BATCHES / (time.perf_counter() - began))
    ratio = statistics.median(b / a for a, b in zip(*rates, strict=True))
    what = f"ApiSink beside the bare SDK, {records:,} records of {size:,} B a batch"
    return what, f"{ratio:.2f}x ({statistics.median(rates[1]):,.0f} records/s)", ">= 0.80x", ratio >= 0.8


def ours(main: Any, sidecar: Any, name: str, records: list[Any]) -> Callable[[], None]:
    """Writes one batch as the runtime does."""
    from spout.api import ApiSink
    from spout.config import Config, Limits, Output, Target
    from spout.log import Log
    from spout.marker import Budget, JsonShape
    from spout.metrics import Meter
    from spout.records import Batch

    create(main, name)
    limits, output = Limits(1, 1, 1), Output("data/{first}", "lines")
    config = Config(name, "numbers", {}, "mymark", False, output, limits, target=Target("master"))
    sink = ApiSink(config, JsonShape("mymark", name, "numbers"), Budget(Log(None), Meter()), sidecar)
    sink.resume()
    return lambda: sink.write(Batch(None, records[-1].position, records), lambda position: None)


def bare(main: Any, sidecar: Any, name: str, records: list[Any]) -> Callable[[], None]:
    """Writes the same two files with nothing but the SDK."""
    from pachyderm_sdk.api import pfs

    create(main, name)
    branch = pfs.Branch.from_uri(f"{name}@master")
    head = pfs.Commit(branch=branch, repo=branch.repo)
    marker = json.dumps({"committed": records[-1].position}).encode()

    def write() -> None:
        data = b"".join(record.data + b"\n" for record in records)
        requests = [pfs.ModifyFileRequest(set_commit=head)]
        for path, contents in (("/data/000001", data), ("/mymark", marker)):
            requests.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
            requests.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=contents)))
        sidecar.pfs.modify_file(iter(requests))
        sidecar.pfs.wait_commit(head)

    return write


def create(main: Any, name: str) -> None:
    """A pipeline to write for."""
    document = {"pipeline": {"name": name}, "transform": {"image": "x:1", "cmd": ["x"]}, "spout": {}}
    main.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(document))


@contextmanager
def served() -> Iterator[tuple[Any, Any]]:
    """Clients of the main pachd and of the sidecar."""
    from pachyderm_sdk import Client

    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-c", SERVER, home]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdin
        assert server.stdout
        try:
            ports = json.loads(server.stdout.readline())
            yield Client(port=ports[0]), Client(port=ports[1])
        finally:
            server.stdin.close()
            server.wait()
            server.stdout.close()


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="  ")
