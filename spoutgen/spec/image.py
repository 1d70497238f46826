"""What is wrong with an image reference, if anything: ``[registry[:port]/]path[:tag][@sha256:digest]``."""

from __future__ import annotations

import re

_HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?")
_PART = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Problem = tuple[str, str | None]


def problem_of(image: str) -> Problem | None:
    """What is wrong with an image (a verb phrase) and a hint; None for one with a lasting tag or a digest."""
    name, at, digest = image.partition("@")
    slash = name.rfind("/")
    path, colon, tag = name[slash + 1 :].partition(":")
    repository = name[: slash + 1] + path
    problem = _repository_problem(repository, image[len(repository) :])
    if problem:
        return problem
    if at and not _DIGEST.fullmatch(digest):
        return "has a digest that is not sha256: and 64 hexadecimal digits", None
    if colon and not _TAG.fullmatch(tag):
        return "has a tag that is not legal", f"a tag is letters, digits, `_`, `.` and `-`: {repository}:v1"
    if at:
        return None
    if not colon:
        return (
            "has no tag, which means `latest`",
            f"write {repository}:v1; nodes keep the image that they have under a tag",
        )
    if tag == "latest":
        return "has the tag `latest`", f"write {repository}:v1; nodes keep the image that they have under a tag"
    return None


def _repository_problem(repository: str, rest: str) -> Problem | None:
    if "://" in repository:
        return "is a URL", f"write {repository.partition('://')[2]}{rest}"
    if not repository or len(repository) > 255:
        return "is not an image such as spout-marker:v1", None
    parts = repository.split("/")
    if len(parts) > 1 and (parts[0] == "localhost" or re.search("[.:]", parts[0])):
        if not _HOST.fullmatch(parts[0]):
            return f"has a registry that is not legal: `{parts[0]}`", None
        parts = parts[1:]
    wrong = next((part for part in parts if not _PART.fullmatch(part)), None)
    if wrong is None:
        return None
    if _PART.fullmatch(wrong.lower()):
        return "has upper-case letters in its repository", f"write {repository.lower()}{rest}"
    return f"is not an image such as spout-marker:v1: `{wrong}` is no legal part of it", None
