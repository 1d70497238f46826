"""A program `pachctl` for tests: a small script on PATH hands its words to the test, which answers as pachctl prints.

`--raw` gives JSON documents one after the other, with the field names of the .proto files
(v1.13.4:src/server/pps/cmds/cmds.go:55), get file raw bytes, and create, update, stop and start nothing.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from pachd1 import Cluster
from python_pachyderm.proto.pfs import pfs_pb2
from python_pachyderm.proto.pps import pps_pb2

_SCRIPT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect({path!r})
    s.sendall(json.dumps([sys.argv[1:], os.environ.get("PACH_CONTEXT")]).encode() + b"\\n")
    status, size, error = json.loads((f := s.makefile("rb")).readline())
    sys.stdout.buffer.write(f.read(size))
sys.stderr.write(error)
sys.exit(status)
"""


class RefusedError(Exception):
    """What pachctl prints on standard error, with status 1."""


@contextmanager
def on_path(folder: Path, cluster: Cluster) -> Iterator[tuple[Path, list[tuple[list[str], str | None]]]]:
    """A folder with a program pachctl in it, and the words that it was called with."""
    calls: list[tuple[list[str], str | None]] = []

    class Call(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words, context = json.loads(self.rfile.readline())
            calls.append((words, context))
            try:
                status, output, error = 0, answer(cluster, words), ""
            except RefusedError as refused:
                status, output, error = 1, b"", f"{refused}\n"
            self.wfile.write(json.dumps([status, len(output), error]).encode() + b"\n" + output)

    socket_path = folder / "socket"
    with socketserver.ThreadingUnixStreamServer(str(socket_path), Call) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = folder / "pachctl"
        program.write_text(_SCRIPT.format(python=sys.executable, path=str(socket_path)))
        program.chmod(0o755)
        try:
            yield folder, calls
        finally:
            server.shutdown()


def answer(cluster: Cluster, words: list[str]) -> bytes:
    """What pachctl prints. Raises RefusedError."""
    for pattern, error in cluster.answers.items():
        if " ".join(words).startswith(pattern) and error:
            raise RefusedError(error.pop(0)[1])
    with cluster.lock:
        verb = _VERBS.get(tuple(words[:2])) or _VERBS[tuple(words[:1])]
        return verb(cluster, words)


def _version(cluster: Cluster, words: list[str]) -> bytes:
    lines = ("COMPONENT           VERSION", "pachctl             1.13.4", f"pachd               {cluster.version}")
    return "".join(f"{line:<40}\n" for line in lines).encode()


def _raw(message: Any) -> bytes:
    return (json.dumps(MessageToDict(message, preserving_proto_field_name=True), indent=2) + "\n").encode()


def _pipeline(cluster: Cluster, name: str) -> Any:
    if name not in cluster.pipelines:
        raise RefusedError(f'pipeline "{name}" not found')
    return cluster.pipelines[name]


def _submit(cluster: Cluster, words: list[str]) -> bytes:
    request = ParseDict(json.loads(Path(words[words.index("-f") + 1]).read_text()), pps_pb2.CreatePipelineRequest())
    old = cluster.pipelines.get(request.pipeline.name)
    if old is not None and words[0] == "create":
        raise RefusedError(f"pipeline {request.pipeline.name} already exists")
    info = pps_pb2.PipelineInfo(version=(old.version if old else 0) + 1, state=cluster.next_state)
    for each in ("pipeline", "transform", "spout"):
        getattr(info, each).CopyFrom(getattr(request, each))
    info.output_branch, info.cache_size, info.max_queue_size, info.datum_tries = "master", "64M", 1, 3
    if old is not None and old.stopped:
        info.stopped, info.state = True, pps_pb2.PIPELINE_PAUSED
    cluster.pipelines[request.pipeline.name] = info
    cluster.repos.setdefault(request.pipeline.name, {"master": [], "marker": []})
    return b""


def _stop(cluster: Cluster, words: list[str]) -> bytes:
    info = _pipeline(cluster, words[2])
    info.stopped, info.state = True, pps_pb2.PIPELINE_PAUSED
    return b""


def _start(cluster: Cluster, words: list[str]) -> bytes:
    info = _pipeline(cluster, words[2])
    info.stopped, info.state = False, cluster.next_state
    return b""


def _repo(cluster: Cluster, words: list[str]) -> bytes:
    if words[2] not in cluster.repos:
        raise RefusedError(f"repos {words[2]} not found")
    return _raw(pfs_pb2.RepoInfo(repo=pfs_pb2.Repo(name=words[2])))


def _commits(cluster: Cluster, words: list[str]) -> bytes:
    repo, _, branch = words[2].partition("@")
    found = cluster.repos.get(repo, {}).get(branch)
    if not found:
        raise RefusedError(f"branch {branch} in repo {repo} has no head")
    number = int(words[words.index("-n") + 1])
    return b"".join(_raw(info) for info, _ in list(reversed(found))[:number])


def _get(cluster: Cluster, words: list[str]) -> bytes:
    place, _, path = words[2].partition(":")
    repo, _, ref = place.partition("@")
    files = cluster.head(repo, ref)
    if files is None or path not in files:
        raise RefusedError(f"file {path} not found in repo {repo} at commit {ref}")
    return files[path]


def _put(cluster: Cluster, words: list[str]) -> bytes:
    assert words[2] == "-o", "1.x appends without -o"
    place, _, path = words[3].partition(":")
    repo, _, branch = place.partition("@")
    cluster.commit(repo, branch, {path: Path(words[words.index("-f") + 1]).read_bytes()})
    return b""


def _branch(cluster: Cluster, words: list[str]) -> bytes:
    repo, _, branch = words[2].partition("@")
    cluster.repos[repo][branch] = []
    return b""


def _logs(cluster: Cluster, words: list[str]) -> bytes:
    lines = cluster.logs.get(words[words.index("--pipeline") + 1], [])
    if "--tail" in words:
        raise RefusedError("tail has been deprecated and removed from Pachyderm, use --since instead")
    return "".join(f"{line}\n" for line in lines).encode()


_VERBS: dict[tuple[str, ...], Callable[[Cluster, list[str]], bytes]] = {
    ("version",): _version,
    ("list", "pipeline"): lambda cluster, words: b"".join(map(_raw, cluster.pipelines.values())),
    ("inspect", "pipeline"): lambda cluster, words: _raw(_pipeline(cluster, words[2])),
    ("inspect", "repo"): _repo,
    ("create", "pipeline"): _submit,
    ("update", "pipeline"): _submit,
    ("stop", "pipeline"): _stop,
    ("start", "pipeline"): _start,
    ("list", "commit"): _commits,
    ("get", "file"): _get,
    ("put", "file"): _put,
    ("create", "branch"): _branch,
    ("logs",): _logs,
    ("logs", "--pipeline"): _logs,
}
