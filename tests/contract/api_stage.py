"""A served pipeline of 2.x and the sinks of its spout, for the tests of ApiSink."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from spoutgen.local.home import Home
from spoutgen.local.pachd import serve
from spoutgen.local.pachd.wire import UnavailableError

RUNTIME = Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"
SPOUT = {"pipeline": {"name": "dots"}, "transform": {"image": "dots:1", "cmd": ["x"]}, "spout": {}}
BRANCH = pfs.Branch.from_uri("dots@master")
HEAD = pfs.Commit(branch=BRANCH, repo=BRANCH.repo)


@pytest.fixture(autouse=True)
def runtime(monkeypatch):
    """The runtime's modules, gone again afterwards."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(RUNTIME))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name == "spout" or name.startswith("spout."):
            del sys.modules[name]


class Stage:
    """A served pipeline and as many sinks of one spout as a test wants."""

    def __init__(self, pachd, steps):
        self.pachd, self.steps = pachd, steps
        self.main, self.sidecar = Client(port=pachd.port), Client(port=pachd.sidecar_port)
        self.main.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(SPOUT))
        self.acknowledged = []

    def sink(self, source="numbers", path="data/{first}", marker="mymark", batch=1):
        from spout.api import ApiSink
        from spout.config import Config, Limits, Output, Target
        from spout.log import Log
        from spout.marker import Budget, JsonShape
        from spout.metrics import Meter
        from spout.sources import pyramid

        config = Config(
            "dots", source, {}, marker, False, Output(path, "lines"), Limits(batch, 1, 1), target=Target("master")
        )
        shape = JsonShape(marker, "dots", source) if source == "numbers" else pyramid.shape(config, "symbol")
        return ApiSink(config, shape, Budget(Log(None), Meter()), self.sidecar)

    def write(self, sink, start, end):
        from spout.records import Batch, Record

        records = [Record(b"%d" % n, n, f"{n:03}") for n in range(start + 1, end + 1)]
        sink.write(Batch(start or None, end, records), self.acknowledged.append)

    def write_files(self, sink, start, end):
        """The same as `write` with a file for each record."""
        import dataclasses

        from spout.config import Output

        sink._config = dataclasses.replace(sink._config, output=Output("data/{first}", "files"))
        self.write(sink, start, end)

    def put(self, *ops):
        requests = [pfs.ModifyFileRequest(set_commit=HEAD)]
        for path, data in ops:
            requests.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
            requests.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data)))
        self.sidecar.pfs.modify_file(iter(requests))

    def files(self):
        found = {}
        for info in self.main.pfs.walk_file(file=pfs.File(commit=HEAD, path="/")):
            if info.file_type == pfs.FileType.FILE:
                with self.main.pfs.pfs_file(pfs.File(commit=HEAD, path=info.file.path)) as file:
                    found[info.file.path] = file.read()
        return found

    def numbers(self):
        """All records on master, in the order of their files."""
        files = self.files()
        return [int(n) for path in sorted(files) if path.startswith("/data/") for n in files[path].split()]

    def restart(self):
        """Stop and start the pipeline, which leaves an open head."""
        self.main.pps.stop_pipeline(pipeline=pps.Pipeline(name="dots"))
        self.main.pps.start_pipeline(pipeline=pps.Pipeline(name="dots"))

    def commits(self):
        return list(self.main.pfs.list_commit(repo=BRANCH.repo))


@pytest.fixture
def stage(tmp_path):
    steps = []

    def checkpoint(step):
        for each in list(steps):
            each(step)

    with serve(Home(tmp_path), checkpoint=checkpoint) as pachd:
        yield Stage(pachd, steps)


def lose_a_reply(stage, number=1):
    """The ``number``-th ModifyFile from now on is committed, and nobody is told."""
    left = [number]

    def lose(step):
        if step == "modify: committed":
            left[0] -= 1
            if left[0] == 0:
                raise UnavailableError("the connection is gone")

    stage.steps.append(lose)


def uncertain(match=None):
    from spout.records import UncertainError

    return pytest.raises(UncertainError, match=match)


def refused(match):
    from spout.fatal import FatalError

    return pytest.raises(FatalError, match=match)
