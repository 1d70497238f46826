"""The files of a project that are the user's own code: source.py and transform.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def imported(file: Path, name: str) -> ModuleType:
    """``file`` as the module ``name``. Whatever it raises goes through."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for what it defines
    spec.loader.exec_module(module)
    return module
