"""Names that come from outside become parts of paths that Pachyderm takes."""

from __future__ import annotations

import string

# Letters that are legal in a Pachyderm path and mean nothing in it (v1.13.4:src/server/pkg/path/path.go:79); a
# record's name has the rest as %XX, and the per cent sign too, so two names never become one path.
_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.~:=,; ")


def legal(name: str) -> str:
    """``name`` as one part of a legal path, and another part for every other name."""
    if not name:
        return "%"
    if _PLAIN.issuperset(name) and name.strip("."):
        return name
    keep = _PLAIN - {"."} if not name.strip(".") else _PLAIN  # "." and ".." are folders
    return "".join(c if c in keep else "".join(f"%{byte:02X}" for byte in c.encode()) for c in name)
