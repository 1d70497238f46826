"""What a cluster answers when it will not, in our words. Nothing secret goes into a message.

1.x sends nearly every error as code UNKNOWN, so the text decides; 2.x has codes for some of them.
"""

from __future__ import annotations

import re

from spoutgen.errors import Diagnostic, MachineError

_LONGEST = 400


class ClusterError(MachineError):
    """A cluster cannot be reached, or refuses."""

    @property
    def code(self) -> str:
        """The code of what is wrong."""
        return self.diagnostics[0].code


def problem(code: str, message: str, hint: str | None = None) -> Diagnostic:
    """One thing that is wrong with a cluster."""
    return Diagnostic(code, message, None, hint)


def is_missing(text: str) -> bool:
    """Whether an answer says that what was asked for is not there."""
    return bool(re.search(r"not found|no head|has no (?:commits|head)|does not exist|nonexistent", text))


def is_there_already(text: str) -> bool:
    """Whether an answer says that what was to be made is there."""
    return "already exists" in text


def refused(text: str, address: str, secret: str | None = None) -> ClusterError:
    """The error that an answer means; ``secret`` is blotted out, should a proxy or a driver repeat it."""
    said = " ".join((text.replace(secret, "********") if secret else text).split())[:_LONGEST]
    for pattern, code, message, hint in _ANSWERS:
        if re.search(pattern, said, re.IGNORECASE):
            return ClusterError(problem(code, message.format(address=address, said=said), hint))
    return ClusterError(problem("SG609", f"the cluster at {address} refused: {said}"))


def unreachable(address: str, said: str = "") -> ClusterError:
    """Nobody answers, or the answer did not come: what was asked may have been done."""
    reason = f": {said}" if said else ""
    hint = (
        "is the context right (pachctl config get active-context), and the cluster up (pachctl version)?"
        " Nothing is lost by running the command again: it goes on where this one was cut off"
    )
    return ClusterError(problem("SG601", f"the cluster at {address} gives no answer{reason}", hint))


_LOGIN = "log in anew: pachctl auth login; or ask for the role that the message names"
_PROJECT = "pachctl create project NAME, or correct `project:` in spout.yaml"
_ANSWERS = (
    (
        r"no authentication token|not authorized|unauthenticated|permission denied|session (?:token )?(?:has )?expired"
        r"|not logged in|token.*(?:invalid|corrupt)",
        "SG603", "the cluster at {address} does not let you do that: {said}", _LOGIN,
    ),
    (
        r"project[^:]*\bnot found|project .*does not exist|\bno project\b",
        "SG604", "no such project at {address}: {said}", _PROJECT,
    ),
    (
        r"unimplemented|unknown service|unknown method",
        "SG602", "the cluster at {address} does not know the request: {said}",
        "`pachyderm:` in spout.yaml is 1 for 1.x and 2 for 2.x; `pachctl version` tells which one it is",
    ),
    (
        r"connection refused|failed to connect|unavailable|deadline exceeded|no such host|transport is closing"
        r"|could not connect|context deadline|socket closed|connection reset",
        "SG601", "the cluster at {address} gives no answer: {said}",
        "is the context right, and the cluster up (pachctl version)? Running the command again loses nothing",
    ),
)  # fmt: skip
