"""What a schema cannot say: one small function a rule, all of them in one table.

A rule sees the data with its defaults and yields what is wrong with it. It asks for values through
:class:`~spoutgen.spec.look.Look`, which answers None for what is missing, of the wrong type or already found wrong, so
that no mistake is told twice and no rule stumbles. Those about the output are in :mod:`spoutgen.spec.output_rules`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from spoutgen.errors import Diagnostic
from spoutgen.spec.document import Document, Path
from spoutgen.spec.image import problem_of
from spoutgen.spec.look import Look
from spoutgen.spec.output_rules import (
    batches_are_kept,
    dead_letters_are_kept,
    glob_leaves_marker_out,
    output_is_not_marker,
    output_path_is_legal,
    overwrite_keeps_guarantee,
)
from spoutgen.spec.schema import source_schema, source_types
from spoutgen.spec.units import UnitError, parse_quantity

# The Kubernetes objects of a pipeline are called pipeline-<name>-v<version>, and a service's name has at most 63
# characters (v1.13.4:src/server/pkg/ppsutil/util.go:47); so this leaves room for 99 versions. 2.x says 51 itself
# (v2.11.6:src/server/pps/server/api_server.go:1862), and at most 63 for <project>-<name>-v99 (:1868).
LONGEST_NAME: Mapping[int, int] = MappingProxyType({1: 50, 2: 51})
LONGEST_OBJECT = 63

# What Pachyderm puts into the worker's environment, and so into ours: PACH_*, PPS_*, and these
# (v1.13.4:src/server/pps/server/worker_rc.go:141-231, the storage settings from src/server/pkg/obj/obj.go:151).
RESERVED_PREFIXES = ("SPOUT_", "PACH_", "PPS_")
RESERVED_VARIABLES = frozenset(
    (
        "PEER_PORT",
        "METRICS",
        "S3GATEWAY_PORT",
        "STORAGE_V2",
        "DISABLE_COMMIT_PROGRESS_COUNTER",
        "LOKI_LOGGING",
        "STORAGE_BACKEND",
        "GOOGLE_BUCKET",
        "GOOGLE_CRED",
        "MICROSOFT_CONTAINER",
        "MICROSOFT_ID",
        "MICROSOFT_SECRET",
        "MINIO_BUCKET",
        "MINIO_ENDPOINT",
        "MINIO_ID",
        "MINIO_SECRET",
        "MINIO_SECURE",
        "MINIO_SIGNATURE",
        "AMAZON_REGION",
        "AMAZON_BUCKET",
        "AMAZON_ID",
        "AMAZON_SECRET",
        "AMAZON_TOKEN",
        "AMAZON_VAULT_ADDR",
        "AMAZON_VAULT_ROLE",
        "AMAZON_VAULT_TOKEN",
        "AMAZON_DISTRIBUTION",
        "CUSTOM_ENDPOINT",
        "RETRIES",
        "TIMEOUT",
        "UPLOAD_ACL",
        "REVERSE",
        "PART_SIZE",
        "MAX_UPLOAD_PARTS",
        "DISABLE_SSL",
        "NO_VERIFY_SSL",
        "OBJ_LOG_OPTS",
    )
)

# A mounted secret becomes a volume of its own name, beside these (v1.13.4:src/server/pps/server/worker_rc.go:530-590).
RESERVED_VOLUMES = frozenset({"pach-bin", "pach-tmp", "pach-disk", "pach-dir-volume", "pachyderm-worker", "docker"})
RESERVED_FOLDERS = ("/pfs", "/pach", "/pach-bin", "/app", "/proc", "/dev", "/sys")

Rule = Callable[[Look], Iterator[Diagnostic]]


def check(document: Document, filled: Mapping[str, Any], spoilt: Collection[Path]) -> Iterator[Diagnostic]:
    """The findings of every rule."""
    look = Look(document, filled, spoilt)
    for rule in RULES:
        yield from rule(look)


def image_is_pinned(look: Look) -> Iterator[Diagnostic]:
    """The image has a tag that means one image for ever, as far as one can see."""
    image = look.value(str, "image")
    problem = problem_of(image) if image is not None else None
    if problem:
        yield look.document.at_value(("image",), "SG301", f"`image` {problem[0]}", problem[1])


def name_is_short_enough(look: Look) -> Iterator[Diagnostic]:
    """The name leaves room for what Kubernetes' names add to it."""
    name, target = look.value(str, "name"), look.value(int, "pachyderm")
    if name is not None and target is not None and len(name) > LONGEST_NAME[target]:
        message = f"`name` has {len(name)} characters; with `pachyderm: {target}` it has at most {LONGEST_NAME[target]}"
        yield look.document.at_value(("name",), "SG302", message, "Kubernetes' names are limited, and add to it")


def name_fits_into_project(look: Look) -> Iterator[Diagnostic]:
    """On 2.x the project's name is a part of Kubernetes' names."""
    name, project = look.value(str, "name"), look.value(str, "project")
    if name is None or project is None or look.value(int, "pachyderm") != 2:
        return
    length = len(f"{project}-{name}-v99")
    if length > LONGEST_OBJECT and len(name) <= LONGEST_NAME[2]:
        over = length - LONGEST_OBJECT
        message = f"`project` and `name` together are {over} characters too long for Kubernetes' names"
        hint = f"{project}-{name}-v99 may have at most {LONGEST_OBJECT} characters: shorten one of them"
        yield look.document.at_value(("name",), "SG302", message, hint)


def project_fits_target(look: Look) -> Iterator[Diagnostic]:
    """Projects came with Pachyderm 2."""
    if look.value(str, "project") is not None and look.value(int, "pachyderm") == 1:
        hint = "remove it, or set `pachyderm: 2`"
        yield look.document.at_key(("project",), "SG309", "`project` needs `pachyderm: 2`; 1.x has no projects", hint)


def variables_are_free(look: Look) -> Iterator[Diagnostic]:
    """No variable is one that Pachyderm or spoutgen sets, and none is set twice."""
    taken: dict[str, str] = {}
    for name in look.value(dict, "env") or {}:
        if ("env", name) not in look.spoilt:
            yield from _variable(name, taken, "env", look, ("env", name))
    for index in range(len(look.value(list, "secrets") or ())):
        name = look.value(str, "secrets", index, "env")
        if name is not None:
            yield from _variable(name, taken, f"secrets[{index}]", look, ("secrets", index, "env"))


def _variable(name: str, taken: dict[str, str], owner: str, look: Look, path: Path) -> Iterator[Diagnostic]:
    at = look.document.at_key if path[0] == "env" else look.document.at_value
    if name.startswith(RESERVED_PREFIXES) or name in RESERVED_VARIABLES:
        who = "spoutgen" if name.startswith("SPOUT_") else "Pachyderm"
        yield at(path, "SG307", f"`{name}` is a variable that {who} sets", "choose another name")
    elif name in taken:
        yield at(path, "SG307", f"`{name}` is set twice, here and by `{taken[name]}`", "remove one of them")
    taken.setdefault(name, owner)


def mounts_are_free(look: Look) -> Iterator[Diagnostic]:
    """A mounted secret can be a volume of its own name, at a folder that is nobody else's."""
    volumes: set[str] = set()
    folders: list[str] = []
    for index in range(len(look.value(list, "secrets") or ())):
        mount, name = look.value(str, "secrets", index, "mount"), look.value(str, "secrets", index, "name")
        if mount is not None:
            place: Path = ("secrets", index, "mount")
            used = next((folder for folder in (*folders, *RESERVED_FOLDERS) if _overlap(mount, folder)), None)
            if any(part in (".", "..") for part in mount.split("/")):
                yield look.document.at_value(place, "SG309", "a mount path may not have `.` or `..` in it")
            elif used:
                message = f"`{mount}` cannot be mounted: `{used}` is in use"
                yield look.document.at_value(
                    place, "SG309", message, "mount it at a folder of its own, such as /secrets/NAME"
                )
            folders.append(mount)
        if mount is not None and name is not None:
            place = ("secrets", index, "name")
            if "." in name or len(name) > 63 or name in RESERVED_VOLUMES:
                hint = "Pachyderm names a volume after it: at most 63 lower-case letters, digits and `-`"
                yield look.document.at_value(
                    place, "SG309", f"the secret `{name}` cannot be mounted under this name", hint
                )
            elif name in volumes:
                hint = "mount it once"
                yield look.document.at_value(place, "SG309", f"the secret `{name}` is mounted twice", hint)
            volumes.add(name)


def _overlap(folder: str, other: str) -> bool:
    return f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/")


def requests_are_within_limits(look: Look) -> Iterator[Diagnostic]:
    """Kubernetes refuses a pod that asks for more than it may use."""
    for kind in ("cpu", "memory", "disk"):
        asked = _amount(look, "requests", kind)
        limit = _amount(look, "limits", kind)
        if asked is not None and limit is not None and asked > limit:
            message = f"`resources.requests.{kind}` is more than `resources.limits.{kind}`"
            path: Path = ("resources", "requests", kind)
            yield look.document.at_value(path, "SG309", message, "Kubernetes refuses such a pod")


def _amount(look: Look, part: str, kind: str) -> float | None:
    if kind == "cpu":
        return look.value(float, "resources", part, kind) or look.value(int, "resources", part, kind)
    text = look.value(str, "resources", part, kind)
    try:
        return parse_quantity(text) if text is not None else None
    except UnitError:
        return None


def symbol_is_printable(look: Look) -> Iterator[Diagnostic]:
    """A symbol can be seen, and never breaks the line."""
    symbol = look.value(str, "source", "symbol") if look.value(str, "source", "type") == "symbol" else None
    wrong = next((char for char in symbol or "" if not _is_printable(char)), None)
    if wrong is not None:
        what = (
            "a line break" if wrong in "\r\n\v\f\x85\u2028\u2029" else f"the unprintable character U+{ord(wrong):04X}"
        )
        message = f"`source.symbol` may not hold {what}"
        yield look.document.at_value(
            ("source", "symbol"), "SG204", message, "a record is one line that people can read"
        )


def _is_printable(char: str) -> bool:
    # Zero-width joiners and tag characters are parts of emoji. Unassigned characters pass, since Python's versions
    # differ in which they know.
    if char in "\u200c\u200d" or "\U000e0020" <= char <= "\U000e007f":
        return True
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def symbol_makes_batches_of_one(look: Look) -> Iterator[Diagnostic]:
    """The last line of the pyramid announces the batch, so a batch is one line."""
    records = look.value(int, "batch", "records")
    if look.value(str, "source", "type") == "symbol" and records is not None and records != 1:
        message = "`batch.records` must be 1 for the symbol source, whose marker announces one line at a time"
        yield look.document.at_value(
            ("batch", "records"), "SG309", message, "remove it; `source.interval` sets the pace"
        )


def patterns_are_regular_expressions(look: Look) -> Iterator[Diagnostic]:
    """A pattern, of a filter or for the names of topics, is one that Python takes."""
    paths: list[Path] = [("source", "pattern")]
    for kind in ("include", "exclude"):
        conditions = look.value(list, "filter", kind) or ()
        paths += [("filter", kind, index, "matches") for index in range(len(conditions))]
    for path in paths:
        try:
            re.compile(look.value(str, *path) or "")
        except re.error as error:
            yield look.document.at_value(path, "SG309", f"`{path[-1]}` is no regular expression: {error}")


def credentials_come_from_secrets(look: Look) -> Iterator[Diagnostic]:
    """An option that names a variable with a credential names one that `secrets` provides."""
    source_type = look.value(str, "source", "type")
    if source_type not in source_types():
        return
    given = {look.value(str, "secrets", index, "env") for index in range(len(look.value(list, "secrets") or ()))}
    for key, schema in source_schema(source_type)["properties"].items():
        variable = look.value(str, "source", key)
        if schema.get("x-credential") and variable is not None and variable not in given:
            message = f"`source.{key}` names the variable `{variable}`, which no item of `secrets` provides"
            hint = f"add to `secrets`: {{name: SECRET, key: KEY, env: {variable}}}"
            yield look.document.at_value(("source", key), "SG309", message, hint)


RULES: tuple[Rule, ...] = (
    image_is_pinned,
    name_is_short_enough,
    name_fits_into_project,
    project_fits_target,
    output_path_is_legal,
    batches_are_kept,
    output_is_not_marker,
    dead_letters_are_kept,
    glob_leaves_marker_out,
    variables_are_free,
    mounts_are_free,
    requests_are_within_limits,
    overwrite_keeps_guarantee,
    symbol_is_printable,
    symbol_makes_batches_of_one,
    patterns_are_regular_expressions,
    credentials_come_from_secrets,
)
