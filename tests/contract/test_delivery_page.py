"""docs/explanation/delivery.md against the code: every generation, every step taken out, every test that it names."""

import re
from pathlib import Path

from spoutgen.local.generations import GENERATIONS
from spoutgen.spec.schema import source_types

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "delivery.md").read_text(encoding="utf-8")


def test_every_generation_has_its_column_and_its_numbers():
    for generation in GENERATIONS:
        assert f"{generation.name} ({generation.first} - {generation.last})" in PAGE
        assert len(re.findall(rf"^\| {generation.name} \|", PAGE, re.MULTILINE)) == 3


def test_the_steps_are_the_mutations_that_the_tests_try():
    table = PAGE.partition("| without |")[2].partition("\n\n")[0]
    tried = (ROOT / "tests" / "fault" / "mutations.py").read_text(encoding="utf-8").partition("\nMUTATIONS = {")[2]
    assert set(re.findall(r"^\| `(.+?)`", table, re.MULTILINE)) == set(
        re.findall(r'^    "(.+?)":', tried, re.MULTILINE)
    )


def test_every_test_that_is_named_is_there():
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_every_type_that_reads_from_outside_has_its_row():
    table = PAGE.partition("| type | promise |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(source_types()) - {"symbol", "custom"}
