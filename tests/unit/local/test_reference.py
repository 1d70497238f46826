"""docs/reference/local.md and generations.md say what the code says."""

import dataclasses
import re
from pathlib import Path

import pytest

from spoutgen.local.generations import GENERATIONS, NEWEST, Generation

ROOT = Path(__file__).parents[3]
LOCAL, FIVE = ((ROOT / "docs/reference" / name).read_text() for name in ("local.md", "generations.md"))


def _tests_in(name):
    return set(re.findall(r"^def (test_\w+)", (ROOT / "tests/contract" / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize(("page", "file"), [(LOCAL, "test_worker_g5.py"), (FIVE, "test_worker_generations.py")])
def test_every_test_that_the_contract_names_exists(page, file):
    named = set(re.findall(r"`(test_\w+)`", page)) - {file.removesuffix(".py")}
    assert named
    assert named <= _tests_in(file)


def test_every_test_of_a_cell_stands_in_its_row():
    beside = {"test_a_worker_that_is_stopped_in_order_leaves_no_open_commit"}
    assert _tests_in("test_worker_generations.py") - beside <= set(re.findall(r"`(test_\w+)`", FIVE))


@pytest.mark.parametrize("page", [LOCAL, FIVE])
def test_every_field_of_a_generation_is_explained(page):
    fields = {field.name for field in dataclasses.fields(Generation)} - {"name", "first", "last"}
    assert fields <= set(re.findall(r"`(\w+)`", page))
    assert NEWEST in page


def test_the_generations_are_named_with_their_versions():
    for generation in GENERATIONS:
        assert f"| {generation.name} | {generation.first} - {generation.last} |" in FIVE


def test_every_flag_makes_a_difference():
    """A flag that all generations have alike would not be one."""
    for field in dataclasses.fields(Generation):
        assert len({getattr(generation, field.name) for generation in GENERATIONS}) > 1, field.name
