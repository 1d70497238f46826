"""What the spec lets through the runtime never takes for the marker, whatever records come."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.config import Output
from spout.fatal import FatalError
from spout.output import files
from spout.paths import legal
from spout.records import Batch, Record
from spout.sources.kafka.message import name_of

from spoutgen.errors import SpecError
from spoutgen.spec import load_text
from spoutgen.spec.output_rules import escaped
from spoutgen.spec.schema import source_schema

# Few letters, so that markers and paths meet.
WORDS = st.text("m1.0", min_size=1, max_size=3)
MARKERS = WORDS.filter(lambda word: not word.startswith("."))
TEXTS = st.text("m1.0/é%,", max_size=4) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
NUMBERS = st.integers(0, 2000).map(str)
FACTS = st.fixed_dictionaries({}, optional={"key": TEXTS, "time": st.integers(-(10**11), 10**11) | st.just("never")})
SOURCES = {
    # source of the spec, its path fields, a record's name, its group
    "custom": ({"type": "custom"}, [], TEXTS, st.just({})),
    "symbol": ({"type": "symbol", "symbol": "."}, [], NUMBERS, st.just({})),
    "pattern": (
        {"type": "kafka", "servers": "k:1", "pattern": ".*"},
        ["topic", "partition"],
        st.integers(0, 2**63 - 1).map(name_of),
        st.fixed_dictionaries({"topic": WORDS, "partition": NUMBERS}),
    ),
    "topics": (
        {"type": "kafka", "servers": "k:1", "topics": ["m", "m1", "0.m"]},
        ["topic", "partition"],
        st.integers(0, 2**63 - 1).map(name_of),
        st.fixed_dictionaries({"topic": st.sampled_from(["m", "m1", "0.m"]), "partition": NUMBERS}),
    ),
}


def refused(spec):
    """The codes of errors of a spec; none for one that is right."""
    try:
        load_text(json.dumps({"version": 1, "name": "x", "image": "x:1", **spec}), "spout.yaml")
    except SpecError as error:
        return {finding.code for finding in error.diagnostics if finding.severity == "error"}
    return set()


@pytest.mark.parametrize("kind", SOURCES)
@given(data=st.data())
def test_nothing_that_can_clash_gets_through(kind, data):
    source, own, names, groups = SOURCES[kind]
    marker, target = data.draw(MARKERS), data.draw(st.sampled_from([1, 2]))
    pieces = st.lists(
        st.one_of(WORDS, st.just("/"), st.sampled_from(["first", "last", "key", "date", "hour"]).map("{{{}}}".format)),
        max_size=3,
    )
    path = "".join(data.draw(st.permutations([*data.draw(pieces), *(f"{{{field}}}" for field in own)])))
    path = path or "{first}"
    output = {"path": path, "overwrite": True, "on_error": "dead_letter", "dead_letters": f"{path}{{first}}"}
    if target == 2:
        output.pop("overwrite")
    found = refused({"source": source, "marker": marker, "output": output, "pachyderm": target})
    records = [Record(b"x", 1, data.draw(names), data.draw(groups), data.draw(FACTS)) for _ in range(3)]
    made = Output(path, "lines", on_error="dead_letter", dead_letters=output["dead_letters"])
    for record in records:
        for batch in (Batch(None, 1, [record]), Batch(None, 1, [], [record])):
            try:
                paths = [file.path for file in files(batch, made, marker, is_beside=target == 2)]
            except FatalError:
                assert found, (path, record)
            else:
                if target == 1:
                    assert found or not any(each.startswith(marker) for each in paths)


@given(TEXTS)
def test_a_text_of_a_record_is_written_as_the_runtime_does(text):
    assert escaped(text) == legal(text)


def test_the_characters_of_names_are_as_the_schema_has_them():
    (digits,) = {source_schema("kafka")["x-spoutgen"]["values"][field] for field in ("first", "partition")}
    assert digits == "[0-9]"
    for offset in (0, 7, 2**63 - 1):
        assert set(name_of(offset)) <= set(string.digits)
