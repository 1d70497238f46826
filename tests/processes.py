"""Processes that tests look for."""

from pathlib import Path


def spouts_of(home: Path) -> list[int]:
    """The processes of user code that belong to a cluster, whoever their parent is."""
    mark = f"SPOUT_PFS_ROOT={home}/".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def running_in(folder: Path) -> list[int]:
    """The processes whose working folder is ``folder``, as that of a project's user code is."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return found
