"""docs/reference/local.md says what the code says."""

import dataclasses
import re
from pathlib import Path

from spoutgen.local.generations import NEWEST, Generation

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/local.md").read_text()


def test_every_test_that_the_contract_names_exists():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = set(re.findall(r"^def (test_\w+)", (ROOT / "tests/contract/test_worker_g5.py").read_text(), re.MULTILINE))
    assert named
    assert named <= there


def test_every_field_of_a_generation_is_explained():
    fields = {field.name for field in dataclasses.fields(Generation)} - {"name", "first", "last"}
    assert fields <= set(re.findall(r"`(\w+)`", PAGE))
    assert NEWEST in PAGE
