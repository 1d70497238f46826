"""YAML text -> Document (data and places) -> checked, frozen Spec."""

from spoutgen.spec.loading import LoadedSpec, find, load, load_text, read_text
from spoutgen.spec.model import Batch, Marker, Output, Secret, Source, Spec

__all__ = [
    "Batch",
    "LoadedSpec",
    "Marker",
    "Output",
    "Secret",
    "Source",
    "Spec",
    "find",
    "load",
    "load_text",
    "read_text",
]
