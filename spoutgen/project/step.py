"""Whether a project is in step with its spec, and its image's tag with the image's contents.

What is run is what the YAML file says; what is deployed is what was built under that tag.
"""

from __future__ import annotations

import json
from pathlib import Path

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.pipeline import pipeline_json
from spoutgen.project.apply import read_orders
from spoutgen.project.conflicts import located
from spoutgen.project.image import contents_of
from spoutgen.project.lock import BASE, PIPELINE, SPEC, read_lock, spec_digest_of
from spoutgen.spec import load

__all__ = ("PIPELINE", "check_image", "check_in_step", "image_of", "reused_tag")


def check_in_step(folder: Path) -> None:
    """Raise ProjectError SG403 if the spec was edited and the edit is not in the project's files yet.

    A changed comment is no edit: every setting reaches the project through pipeline.json, so that file is compared.
    """
    lock = read_lock(folder)
    orders = read_orders(folder)
    if orders is not None and orders.conflicts and orders.state == "conflicts":
        raise ProjectError(_out_of_step(folder, "the last update left conflicts", "resolve them, then end it"))
    if orders is not None:
        raise ProjectError(_out_of_step(folder, "an update was interrupted", "finish it"))
    if spec_digest_of(folder) == lock.spec:
        return
    expected = pipeline_json(load(folder).spec).encode()
    base = folder / BASE / PIPELINE
    if not base.is_file() or base.read_bytes() != expected:
        raise ProjectError(_out_of_step(folder, f"{SPEC} was edited and the project not updated yet", "carry it in"))


def _out_of_step(folder: Path, what: str, how: str) -> Diagnostic:
    return Diagnostic("SG403", what, Place(str(folder / SPEC)), f"{how}: spoutgen update{located(folder)}")


def check_image(folder: Path) -> None:
    """Raise ProjectError SG410 if the image of ``pipeline.json`` was first used with other contents than it has now.

    For whoever is about to build or deploy: nodes keep the image that they have under a tag.
    """
    image = image_of(folder)
    known = read_lock(folder).images.get(image)
    if known is not None and known != contents_of(folder):
        raise ProjectError(reused_tag(folder, image))


def image_of(folder: Path) -> str:
    """The image that ``pipeline.json`` names. Raises ProjectError SG403 if it names none."""
    try:
        image = json.loads((folder / PIPELINE).read_bytes())["transform"]["image"]
        if not isinstance(image, str):
            raise TypeError(f"{image!r} is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{PIPELINE} names no image: {error}"
        hint = "put the file right, or take it from version control"
        raise ProjectError(Diagnostic("SG403", problem, Place(str(folder / PIPELINE)), hint)) from error
    return image


def reused_tag(folder: Path, image: str) -> Diagnostic:
    """What to say of an image whose contents are others than those that its tag was first used with."""
    problem = (
        f"the files of the image {image} are not those that this tag was first used with;"
        " nodes that have an image under a tag keep it, so they would run the old one"
    )
    return Diagnostic(
        "SG410", problem, Place(str(folder / SPEC)), f"give it a new tag: spoutgen update --bump{located(folder)}"
    )
