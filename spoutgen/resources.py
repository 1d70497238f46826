"""Where the schemas and the template are: inside an installed wheel, or at the top of a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def _data_root() -> Path:
    # An editable install leaves a stale copy of the force-included folders in site-packages, away from this file,
    # so the package's own folder comes first (a wheel) and then its parent (a checkout).
    package = Path(__file__).resolve().parent
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


def schemas_dir() -> Path:
    """The folder of JSON Schemas: ``spec-1.json``, ``pipeline-1.json``, ``sources/*.json``, ..."""
    return _data_root() / "schemas"


def template_dir() -> Path:
    """The cookiecutter template that projects are made from."""
    return _data_root() / "cookiecutter-spout"
