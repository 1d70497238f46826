"""A look at a project's source from this machine, by the project's own runtime in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.local.environment import Secrets, common_environment
from spoutgen.local.spec import SpoutSpec

MODULE = Path("spout") / "check.py"

Outcome = Literal["found", "blind", "refused", "no_driver", "away", "broken"]
_OUTCOMES = ("found", "blind", "refused", "no_driver", "away")
_MOST = 2_000  # characters of what a broken check printed

# What a driver's error says, and what to do about it; the first that fits.
_FIXES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("name or service not known", "name resolution", "nodename nor servname", "getaddrinfo", "resolve"),
        "that host name is not known here: mend it in `source`, or check from where it is known, such as the cluster",
    ),
    (
        ("certificate", "ssl", "tls", "handshake"),
        "see that the server speaks TLS on that port and that `source.tls_ca_file` holds its CA; one without TLS needs"
        " `source.tls: false`",
    ),
    (
        ("refused", "no route", "unreachable"),
        "nothing answers at that address: is the server up, and are the host and port in `source` right?",
    ),
    (
        ("timed out", "timeout"),
        "the address is there and does not answer: a firewall, or a server that is busy; --timeout waits longer",
    ),
)
_OTHERWISE = "see that the server is up and reachable from here; a spout that runs would wait for it and try again"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check: ``rows`` of what and how it is, or what is wrong and the fix. Nothing secret is in it."""

    outcome: Outcome
    rows: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    fix: str = ""


def check(
    folder: Path,
    spec: SpoutSpec,
    secrets: Secrets,
    environment: Mapping[str, str],
    marker: bytes | None,
    seconds: float,
    *,
    is_marker_only: bool = False,
) -> Finding:
    """Look at the source of the project in ``folder``, for ``seconds`` at most; ``marker`` is its marker, if any.

    With ``is_marker_only`` the source is left alone: is the marker one that this runtime goes on from?

    Raises ProjectError SG403 if the project's runtime is too old to look.
    """
    if not (folder / MODULE).is_file():
        hint = f"make the runtime anew: spoutgen update {folder}"
        raise ProjectError(Diagnostic("SG403", "the project's runtime has no check", Place(str(folder / MODULE)), hint))
    with TemporaryDirectory(prefix="spoutgen-check-") as name:
        arguments = [sys.executable, "-m", "spout.check", str(seconds)]
        if marker is not None:
            copy = Path(name) / "marker"
            copy.write_bytes(marker)
            arguments += [str(copy), *(["only"] if is_marker_only else [])]
        found = common_environment(spec, {"SPOUT_PFS_ROOT": name}, secrets, environment)
        status, out, err = _ran(arguments, folder, found, seconds)
    made = _finding(status, out.replace(f"{name}/marker", "the marker"), err, seconds)
    return replace(
        made,
        rows=tuple((secrets.masked(what), secrets.masked(how)) for what, how in made.rows),
        problem=secrets.masked(made.problem),
        fix=secrets.masked(made.fix),
    )


def _ran(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float
) -> tuple[int | None, str, str]:
    """How the process ended (None: it took too long), and what it wrote. It and its children are gone then."""
    with subprocess.Popen(
        arguments, cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="backslashreplace",
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=seconds)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            status, out, err = None, "", ""
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return (None if status == -signal.SIGALRM else status), out, err


def _finding(status: int | None, out: str, err: str, seconds: float) -> Finding:
    if status is None:
        problem = f"no answer within {seconds:g} s"
        return Finding("away", problem=problem, fix=_fix("timed out"))
    lines = [line for text in out.splitlines() if isinstance(line := _parsed(text), dict)]
    last = lines[-1] if lines else {}
    outcome = last.get("event")
    if outcome not in _OUTCOMES:
        problem = f"the check ended with status {status}: {(err.strip() or out.strip())[-_MOST:]}"
        return Finding("broken", problem=problem, fix="try it with `spoutgen run`, and report it if that works")
    warnings = tuple(("warning", _words(line)) for line in lines[:-1])
    if outcome in ("found", "blind"):
        return Finding(outcome, (*((what, how) for what, how in last.get("rows", ())), *warnings))
    if outcome == "away":
        problem = f"{last['error']}: {last['detail']}"
        return Finding("away", warnings, problem, _fix(problem))
    problem = f"{last['subject']}: found {last['found']}; expected {last['expected']}"
    return Finding(outcome, warnings, problem, last["remedy"])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _words(line: Mapping[str, Any]) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in line.items() if name not in ("time", "level", "event"))
    return f"{line.get('event')}: {facts}" if facts else str(line.get("event"))


def _fix(problem: str) -> str:
    text = problem.lower()
    return next((fix for words, fix in _FIXES if any(word in text for word in words)), _OTHERWISE)
