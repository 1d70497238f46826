"""Which file names pachd takes, and how it reads them."""

from __future__ import annotations

import posixpath
import re

from spoutgen.local.refused import RefusedError

# v1.13.4:src/server/pkg/path/path.go:29
GLOB = re.compile(r"[*?\[\]{}!()@+^]")
# v1.13.4:src/server/pkg/path/path.go:81
PRINTABLE = re.compile(r"[ -~]+\Z")


def clean(name: str) -> str:
    """``name`` as Go's ``path.Clean`` writes it: no doubled slashes, no dots, ``.`` for nothing."""
    cleaned = posixpath.normpath(name)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def canonical(name: str) -> str:
    """The place that a name means: a leading slash, no trailing one, ``""`` for the root folder."""
    return clean("/" + name).rstrip("/")


def checked(name: str) -> str:
    """The canonical form of a name that a file may be put under, else RefusedError in pachd's words."""
    # v1.13.4:src/server/pfs/server/paths.go:73
    if clean(name).startswith("../"):
        raise RefusedError(f"path ({name}) invalid: traverses above root")
    path = canonical(name)
    if not PRINTABLE.match(path):
        hint = "printable ASCII only; the path comes from the spout's output.path and the names of its records"
        raise RefusedError(f"path ({path!r}) invalid: only printable ASCII characters allowed", hint)
    glob = GLOB.search(path)
    if glob:
        raise RefusedError(
            f"path ({path}) invalid: globbing character ({glob[0]}) not allowed in path",
            "none of * ? [ ] { } ! ( ) @ + ^ may stand in a file's name",
        )
    return path


def is_marker(name: str, marker: str) -> bool:
    """Whether a tar entry goes to the branch ``marker``: a plain string prefix of the cleaned name.

    So ``mymark`` also takes ``mymark01`` and ``mymarker.txt``, and not ``/mymark``
    (v1.13.4:src/server/worker/pipeline/common.go:106).
    """
    return bool(marker) and clean(name).startswith(marker)
