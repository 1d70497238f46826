"""One family of errors: what is wrong, where it stands, and what to do about it.

Every problem that a user can cause or meet is a :class:`Diagnostic`. Problems travel together inside one
:class:`SpoutgenError`, whose subclass says what the reader does next and so which exit status the command ends with.
Printing them is :mod:`spoutgen.report`'s business.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem stands: ``line`` and ``column`` count from 1, ``width`` is the length of the caret's underline.

    ``text`` is the whole offending line without its line break, or None when there is no line to show.
    """

    file: str
    line: int = 1
    column: int = 1
    width: int = 1
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. ``code`` is a key of :data:`CODES`; codes are stable, messages may be reworded."""

    code: str
    message: str
    place: Place | None = None
    hint: str | None = None
    severity: Severity = "error"


class SpoutgenError(Exception):
    """A problem with a known cause; it carries every :class:`Diagnostic` found, in order."""

    exit_status: ClassVar[int] = 1

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("; ".join(f"{d.code} {d.message}" for d in diagnostics))


class SpecError(SpoutgenError):
    """The spec is wrong: edit the YAML file."""


class ProjectError(SpoutgenError):
    """The project folder is not as it should be: tidy it."""


class ConflictError(ProjectError):
    """Two edits met in one place: resolve the conflict, or undo the update."""


class MachineError(SpoutgenError):
    """Something this machine should have is missing, busy or full."""

    exit_status = 3


class UsageError(SpoutgenError):
    """The command line is wrong."""

    exit_status = 2


def full_disk(error: Exception) -> MachineError | None:
    """SG902 for an error that says that a disk is full, or a quota on it; None for every other error."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = error.filename or "standard output or a temporary file cannot be written"
    hint = "free some space; TMPDIR says where temporary files go"
    return MachineError(Diagnostic("SG902", f"{where}: {error.strerror}", None, hint))


CODES: dict[str, str] = {
    # 1xx: reading the file
    "SG101": "the file cannot be read",
    "SG102": "the file is too large, too deep or expands to too much",
    "SG103": "the file is not UTF-8 text",
    "SG104": "the file is not valid YAML",
    "SG105": "the file is empty or is not a mapping",
    "SG106": "the file holds several documents",
    "SG107": "a key stands twice in one mapping",
    "SG108": "a YAML tag is not allowed",
    "SG109": "a word that is a boolean in YAML 1.1 and a string in YAML 1.2",
    "SG110": "a value that `spoutgen set` cannot change",
    # 2xx: what the schema says
    "SG201": "unknown key",
    "SG202": "missing key",
    "SG203": "wrong type",
    "SG204": "value not allowed",
    # 3xx: what a schema cannot say
    "SG301": "the image has no usable tag",
    "SG302": "the name is not legal for Pachyderm or Kubernetes",
    "SG303": "the marker's name is not legal",
    "SG304": "the output path is not legal",
    "SG305": "the output path would be taken for the marker",
    "SG306": "a credential stands in the file",
    "SG307": "an environment name is reserved or used twice",
    "SG308": "a pipeline field is unknown to the target or refused by it",
    "SG309": "a setting does not fit the target or the source",
    "SG310": "a setting gives up a guarantee",
    # 4xx: the project folder
    "SG401": "the folder is not empty or not a project",
    "SG403": "the project is out of step with its spec",
    "SG404": "the project was made by a newer spoutgen",
    "SG405": "the lock file cannot be read",
    "SG406": "the template is not usable",
    "SG407": "the project cannot be written",
    "SG408": "a file holds conflict marks",
    "SG409": "something is in the way of an update",
    "SG410": "the image has other contents under the same tag",
    "SG411": "the marker is another one",
    "SG412": "the pipeline has another name",
    "SG413": "the source is another one",
    "SG414": "the target is another one",
    "SG415": "another command is updating the project",
    "SG416": "the command was cut short",
    "SG417": "a file of the project cannot go into its image",
    # 5xx: the local cluster
    "SG501": "the pipeline is already running here",
    "SG502": "no such pipeline, repo, branch, commit or file",
    "SG503": "the local store cannot be used",
    "SG504": "the pipeline belongs to another project folder",
    "SG505": "a secret is missing on this machine",
    "SG506": "the local worker cannot start the spout",
    "SG507": "the local cluster refused the request, as Pachyderm would",
    "SG508": "the local Pachyderm 2 needs the SDK",
    # 6xx: real clusters
    "SG601": "no cluster answers",
    "SG602": "the cluster is of another version",
    "SG603": "the cluster does not allow it",
    "SG604": "no such project",
    "SG605": "no client for the cluster is installed",
    "SG606": "the pipeline is not a spout",
    "SG607": "the output repo is there without its pipeline",
    "SG608": "the spout does not run",
    "SG609": "the cluster refused the request",
    "SG610": "no such pipeline on the cluster",
    "SG611": "the spout is running",
    "SG612": "the marker cannot be used",
    "SG613": "the pipeline waits for its marker",
    "SG614": "the pipeline has another marker",
    # 7xx: images
    "SG701": "no builder of images works here",
    "SG702": "the image could not be built",
    "SG703": "the image could not be pushed",
    # 8xx: sources
    "SG801": "the source does not take its settings",
    "SG802": "the source cannot be reached from here",
    "SG803": "the source could not be checked",
    # 9xx: the command line, and the machine that it runs on
    "SG901": "the command line is wrong",
    "SG902": "a disk is full",
}
