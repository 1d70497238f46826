"""The folder that is ``/pfs`` in a container: a scratch folder with FIFO and pulled marker, and links to them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from spoutgen.errors import Diagnostic, SpoutgenError
from spoutgen.local.refused import NotFoundError
from spoutgen.local.spec import MARKER_BRANCH
from spoutgen.local.store import Store


@contextmanager
def scratch_folder(pfs: Path, store: Store, repo: str, marker: str) -> Iterator[bool]:
    """Make ``pfs`` ready for one run of the spout and clear it afterwards; yields whether a marker was pulled.

    v1.13.4:src/server/worker/driver/driver.go:555-598, driver_unix.go:129. Raises SpoutgenError SG506 if the marker
    branch has a head and not this marker: the spout then never starts, on a cluster too.
    """
    _clear(pfs)
    scratch = pfs / ".scratch" / uuid4().hex
    scratch.mkdir(parents=True)
    try:
        scratch.chmod(0o700)
        os.mkfifo(scratch / "out", 0o666)
        has_marker = bool(marker) and _pull_marker(store, repo, marker, scratch)
        if marker:
            # Always a link, dangling until there is a marker: a program that writes through it makes a file that
            # nobody reads.
            (pfs / marker).symlink_to(scratch / marker)
        (pfs / "out").symlink_to(scratch / "out")
        yield has_marker
    finally:
        _clear(pfs)


def _clear(pfs: Path) -> None:
    """Take away what a run left there; a killed one leaves everything."""
    shutil.rmtree(pfs, ignore_errors=True)
    pfs.mkdir(parents=True, exist_ok=True)


def _pull_marker(store: Store, repo: str, marker: str, scratch: Path) -> bool:
    """Copy the marker as it stands on its branch; False if the branch has no commit yet.

    Only the exact path is looked for, so parts beside it (``mymark01``) are stored but never come back.
    """
    head = store.head(repo, MARKER_BRANCH)
    if head is None:
        return False
    try:
        _pull(store, repo, head, f"/{marker}", scratch / marker)
    except NotFoundError as error:
        there = ", ".join(info.path.lstrip("/") for info in store.list_files(repo, head)) or "nothing"
        raise SpoutgenError(
            Diagnostic(
                "SG506",
                f"branch {MARKER_BRANCH} of {repo} has commits but no file {marker!r} (it holds: {there}),"
                " and a 1.x worker then never starts the spout",
                None,
                "give the marker its old name again and run `spoutgen update`;"
                f" or begin from nothing: spoutgen local delete pipeline {repo}",
            )
        ) from error
    return True


def _pull(store: Store, repo: str, head: str, path: str, to: Path) -> None:
    listed = store.list_files(repo, head, path)
    if [info.path for info in listed] == [path]:
        with to.open("wb") as file:
            for data in store.get_file(repo, head, path):
                file.write(data)
        return
    to.mkdir()
    for info in listed:
        _pull(store, repo, head, info.path, to / info.path.rpartition("/")[2])
