"""A new project folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError
from spoutgen.project.lock import BASE, LOCK, SPEC, as_entry
from spoutgen.project.render import Rendered
from spoutgen.project.tree import Entry, sync_folder, write_tree


def project_files(rendered: Rendered) -> dict[str, Entry]:
    """Every file of a fresh project: what was rendered, the base to compare with later, and the lock."""
    base = {f"{BASE}/{path}": entry for path, entry in rendered.managed().items()}
    return {**rendered.tree, **base, LOCK: as_entry(rendered.lock)}


def create(rendered: Rendered, folder: Path) -> None:
    """Write a project into ``folder``, which must be empty or not there yet.

    The files are written into a folder beside it, which then takes its name in one step: a kill leaves either no
    project or a whole one. Raises ProjectError SG401 if there is something in ``folder`` already.
    """
    check_is_free(folder)
    target = folder.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
        try:
            staging.chmod(0o755)
            # Not durable file by file, which would take twice the time of all the rest here: a power cut can cost a
            # project that is seconds old and is made again by the same command. A kill cannot: see the rename.
            write_tree(project_files(rendered), staging, is_durable=False)
            _put_in_place(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise MachineError(
            Diagnostic("SG407", f"the project cannot be written: {error.strerror or error}", Place(str(folder)))
        ) from error


def check_is_free(folder: Path) -> None:
    """Raise ProjectError SG401 unless ``folder`` is empty or not there."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ProjectError(
            Diagnostic("SG401", f"{folder} cannot be a project folder: {error.strerror}", Place(str(folder)))
        ) from error
    if names:
        if SPEC in names and ".spoutgen" in names:
            hint = f"it is a project already: edit its {SPEC}, then `spoutgen update {folder}`"
        else:
            hint = "give another folder: -o DIR"
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise ProjectError(Diagnostic("SG401", f"{folder} is not empty: it has {some}", Place(str(folder)), hint))


def _put_in_place(staging: Path, target: Path) -> None:
    if target.exists() and target.samefile(Path.cwd()):
        # Renaming over the folder that the user's shell stands in would leave that shell in a deleted one, so the
        # content moves instead; the spec comes last, and without it nothing takes the folder for a project.
        for file in sorted(staging.iterdir(), key=lambda file: file.name == SPEC):
            file.rename(target / file.name)
    else:
        staging.rename(target)
    sync_folder(target.parent)
