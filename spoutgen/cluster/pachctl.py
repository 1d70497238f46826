"""A cluster by way of the program pachctl: the fallback where a library is not installed. No shell is involved.

pachctl reads its own config, so token and address are its affair; a context is named to it by ``PACH_CONTEXT``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from spoutgen.cluster.client import CommitFact, LivePipeline
from spoutgen.cluster.context import Context
from spoutgen.cluster.documents import in_project, snake_case
from spoutgen.cluster.failures import ClusterError, is_missing, refused, unreachable

PATIENCE = 120.0  # seconds for one answer


class Pachctl:
    """A cluster of either target, asked through ``program``."""

    def __init__(self, program: str, context: Context, target: int, project: str | None) -> None:
        self.target = target
        self.address = context.address
        self._program = program
        self._token = context.token
        self._project = project
        self._in_project = ("--project", project) if target == 2 and project else ()
        self._environment = dict(os.environ)
        if not context.name.startswith("("):
            self._environment["PACH_CONTEXT"] = context.name

    def version(self) -> str:
        """The version of pachd: the second line of the table."""
        found = re.search(r"^pachd\s+v?(\S+)", self._text("version"), re.MULTILINE)
        if found is None:
            raise unreachable(self.address, "`pachctl version` tells no version of pachd")
        return found[1]

    def pipelines(self) -> list[LivePipeline]:
        """Every pipeline."""
        return [_pipeline(item) for item in _documents(self._text("list", "pipeline", "--raw", *self._in_project))]

    def pipeline(self, name: str) -> LivePipeline | None:
        """One pipeline, or None."""
        text = self._found("inspect", "pipeline", name, "--raw", *self._in_project)
        return None if text is None else next(map(_pipeline, _documents(text.decode())), None)

    def has_repo(self, name: str) -> bool:
        """Whether there is a repo of that name."""
        return self._found("inspect", "repo", name, "--raw", *self._in_project) is not None

    def submit(self, document: Mapping[str, Any], is_update: bool) -> None:
        """Create or update a pipeline, from a file that only we can read; never with --reprocess."""
        whole = in_project(document, self._project) if self.target == 2 and self._project else document
        with _file(json.dumps(whole).encode()) as file:
            self._run("update" if is_update else "create", "pipeline", "-f", file, *self._in_project)

    def stop(self, name: str) -> None:
        """Stop a pipeline."""
        self._run("stop", "pipeline", name, *self._in_project)

    def start(self, name: str) -> None:
        """Start a pipeline."""
        self._run("start", "pipeline", name, *self._in_project)

    def logs(self, name: str, is_followed: bool) -> Iterator[str]:
        """What the user code printed."""
        words = ["logs", "--pipeline", name, *self._in_project]
        words += ["--follow"] if is_followed else []
        with subprocess.Popen(
            [self._program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self._environment,
        ) as running:  # fmt: skip
            assert running.stdout
            assert running.stderr
            try:
                for line in running.stdout:
                    yield line.decode(errors="replace").rstrip("\n")
                said = running.stderr.read().decode(errors="replace")
                if running.wait() != 0:
                    raise refused(said, self.address, self._token)
            finally:
                running.kill()

    def commits(self, repo: str, branch: str, number: int) -> list[CommitFact]:
        """The newest commits of a branch."""
        text = self._found("list", "commit", f"{repo}@{branch}", "-n", str(number), "--raw", *self._in_project)
        return [_commit_fact(item, branch) for item in _documents((text or b"").decode())]

    def read_file(self, repo: str, ref: str, path: str) -> bytes | None:
        """A file's bytes, or None."""
        return self._found("get", "file", f"{repo}@{ref}:{path}", *self._in_project)

    def write_file(self, repo: str, branch: str, path: str, data: bytes) -> None:
        """Put a file; 1.x appends unless it is told to overwrite, 2.x overwrites unless it is told to append."""
        overwrite = ("-o",) if self.target == 1 else ()
        with _file(data) as file:
            self._run("put", "file", *overwrite, f"{repo}@{branch}:{path}", "-f", file, *self._in_project)

    def finish_open(self, repo: str, branch: str) -> None:
        """Finish the head. pachctl cannot clear it, but what a spout put there is whole: data and marker together."""
        head = next(iter(self.commits(repo, branch, 1)), None)
        if self.target == 2 and head is not None and head.finished is None:
            self._run("finish", "commit", f"{repo}@{head.id}", *self._in_project)

    def move_marker(self, repo: str, branch: str, old: str, is_prefix: bool, new: str, data: bytes) -> None:
        """On 2.x in one commit, the deletes last: cut off before them it has both, and the next try begins anew."""
        if self.target == 1:
            self.write_file(repo, branch, f"/{new}", data)
            return
        old_files = self._marker_files(repo, branch, old, is_prefix=is_prefix)
        with self._one_commit(repo, branch):
            self.write_file(repo, branch, f"/{new}", data)
            self._delete(repo, branch, [path for path in old_files if path != f"/{new}"])

    def drop_marker(self, repo: str, branch: str, name: str, is_prefix: bool) -> None:
        """On 1.x the branch anew, without a head; on 2.x the files deleted."""
        if self.target == 1:
            self._run("create", "branch", f"{repo}@{branch}")
            return
        files = self._marker_files(repo, branch, name, is_prefix=is_prefix)
        with self._one_commit(repo, branch) if len(files) > 1 else nullcontext():
            self._delete(repo, branch, files)

    def _marker_files(self, repo: str, branch: str, name: str, *, is_prefix: bool) -> list[str]:
        if not is_prefix:
            return [f"/{name}"]
        listed = self._found("list", "file", f"{repo}@{branch}:/", "--raw", *self._in_project)
        found = [item for item in _documents((listed or b"").decode()) if item.get("file_type") == "FILE"]
        return [path for item in found if (path := item["file"]["path"]).startswith(f"/{name}")]

    @contextmanager
    def _one_commit(self, repo: str, branch: str) -> Iterator[None]:
        """Each call of pachctl is a commit of its own unless one is open."""
        self._run("start", "commit", f"{repo}@{branch}", *self._in_project)
        yield
        self._run("finish", "commit", f"{repo}@{branch}", *self._in_project)

    def _delete(self, repo: str, branch: str, paths: Sequence[str]) -> None:
        for path in paths:
            self._run("delete", "file", f"{repo}@{branch}:{path}", *self._in_project)

    def close(self) -> None:
        """There is no connection to let go of."""

    def _text(self, *words: str) -> str:
        return self._run(*words).decode(errors="replace")

    def _found(self, *words: str) -> bytes | None:
        """What pachctl prints; None if it says that there is no such thing."""
        status, output, said = self._call(words)
        if status == 0:
            return output
        error = refused(said, self.address, self._token)
        if error.code == "SG609" and is_missing(said):
            return None
        raise error

    def _run(self, *words: str) -> bytes:
        status, output, said = self._call(words)
        if status != 0:
            raise refused(said or f"pachctl {words[0]} ended with status {status}", self.address, self._token)
        return output

    def _call(self, words: Sequence[str]) -> tuple[int, bytes, str]:
        try:
            done = subprocess.run(
                [self._program, *words], stdin=subprocess.DEVNULL, capture_output=True, env=self._environment,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise unreachable(self.address, f"pachctl gave no answer in {PATIENCE:g} seconds") from error
        except OSError as error:
            raise ClusterError(*unreachable(self.address, f"pachctl: {error.strerror or error}").diagnostics) from error
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as folder:  # mode 0700
        file = Path(folder, "data")
        file.write_bytes(data)
        yield str(file)


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The concatenated JSON that ``--raw`` prints, with field names in snake_case."""
    decoder, begin = json.JSONDecoder(), 0
    while (begin := begin + len(text[begin:]) - len(text[begin:].lstrip())) < len(text):
        item, begin = decoder.raw_decode(text, begin)
        yield snake_case(item)


def _pipeline(info: Mapping[str, Any]) -> LivePipeline:
    details = dict(info.get("details") or info)  # 2.x has most of it one level down
    submitted = info.get("user_spec_json")  # 2.8 on; the details have the cluster's defaults merged in
    details = {**(snake_case(json.loads(submitted)) if submitted else details), "pipeline": info["pipeline"]}
    state = str(info.get("state", "PIPELINE_STARTING"))
    return LivePipeline(
        name=info["pipeline"]["name"],
        version=int(info.get("version", 0)),
        state=state.removeprefix("PIPELINE_").lower(),
        reason=str(info.get("reason") or details.get("recent_error") or ""),
        is_spout="spout" in details or info.get("type") == "PIPELINE_TYPE_SPOUT",
        is_stopped=bool(info.get("stopped")) or state == "PIPELINE_PAUSED",
        created=_time((info.get("details") or info).get("created_at")),
        document=details,
    )


def _commit_fact(info: Mapping[str, Any], branch: str) -> CommitFact:
    size = (info.get("details") or {}).get("size_bytes") or info.get("size_bytes") or info.get("size_bytes_upper_bound")
    return CommitFact(
        info["commit"]["id"], branch, _time(info.get("started")), _time(info.get("finished")), int(size or 0),
        str(info.get("error") or ""),
    )  # fmt: skip


def _time(text: str | None) -> datetime | None:
    """RFC 3339 with up to nanoseconds, of which Python 3.10 reads none that are not three or six digits."""
    if not text:
        return None
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")
