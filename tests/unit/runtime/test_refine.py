"""Filters, transform.py, envelopes, and what becomes of records that cannot be written."""

import base64
import io
import json
import re
import textwrap
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.config import Condition, Config, Filter, Limits, Output
from spout.fatal import FatalError
from spout.log import Log
from spout.metrics import Meter
from spout.output import files
from spout.records import Batch, Record
from spout.refine import Refining, UnwritableError, envelope, is_wanted, load_transform, refining, resolve

ORDERS = {"topic": "orders", "partition": "3"}


def record(data=b"x", name="17", group=ORDERS, facts=None):
    return Record(data, 17, name, group, facts or {})


class Last:
    """A sink that keeps what it was given."""

    def __init__(self):
        self.calls = []

    def begin(self, position):
        self.calls.append(("begin", position))

    def write(self, batch, committed):
        self.batch = batch

    def flush(self, committed):
        self.calls.append("flush")

    def close(self):
        self.calls.append("close")


class Refined:
    """What a sink is given of ``records``."""

    def __init__(self, *records, transform=None, wanted=None, **output):
        settings = {"path": "data/{first}", "format": "lines", "dead_letters": "dead/{first}", **output}
        self.output = Output(**settings)
        self.text, self.meter, sink = io.StringIO(), Meter(), Last()
        refined = Refining(sink, self.output, wanted, transform, Log(self.text), self.meter)
        refined.write(Batch(1, 99, list(records)), lambda position: None)
        self.batch = sink.batch

    @property
    def log(self):
        lines = [json.loads(line) for line in self.text.getvalue().splitlines()]
        return [{key: line[key] for key in line if key != "time"} for line in lines]

    @property
    def written(self):
        return [(each.name, each.data) for each in self.batch.records]

    @property
    def files(self):
        return {file.path: b"".join(file.chunks) for file in files(self.batch, self.output, "mymark")}

    @property
    def errors(self):
        return int(re.search(r"^spout_errors_total (\d+)$", self.meter.text(), re.MULTILINE)[1])


# Envelopes


def test_text_is_what_is_known_and_the_value():
    facts = {"key": "é", "time": 1767225600.5, "headers": [["a", "b"]]}
    assert json.loads(envelope(record("grün".encode(), facts=facts), "text")) == {
        **ORDERS,
        **{"key": "é", "time": "2026-01-01T00:00:00.500Z", "headers": [["a", "b"]], "value": "grün"},
    }


def test_bytes_that_are_no_text_are_base64():
    assert json.loads(envelope(record(b"\xff\0"), "text")) == {**ORDERS, "value_base64": "/wA="}


@pytest.mark.parametrize(
    "value",
    [b"1", b"null", b'{"a":[1,{"b":"\\ud800"}]}', b"12345678901234567890.123456789012345678901", b"1e999", b"1.10"],
)
def test_json_is_the_value_as_it_was_written(value):
    made = envelope(record(b" \r\n" + value + b"\n"), "json")
    assert made == b'{"topic":"orders","partition":"3","value":' + value + b"}"


def test_json_is_one_line_also_where_it_had_several():
    made = envelope(record(b'{\n  "a": "b\\nc",\r\n  "d": 1\n}', group={}), "json")
    assert b"\n" not in made
    assert b"\r" not in made
    assert json.loads(made) == {"value": {"a": "b\nc", "d": 1}}


def test_json_may_begin_with_a_byte_order_mark_and_have_a_number_of_any_length():
    assert envelope(record(b"\xef\xbb\xbf[" + b"7" * 5000 + b"]", group={}), "json") == (
        b'{"value":[' + b"7" * 5000 + b"]}"
    )


@pytest.mark.parametrize("value", [b"", b"{", b"NaN", b"[-Infinity]", b"\xff", b"'a'", b"[" * 100_000, b"1 2"])
def test_what_is_no_json_cannot_be_written(value):
    with pytest.raises(UnwritableError, match="its value is no JSON"):
        envelope(record(value), "json")


def test_a_tombstone_is_null_in_json_and_empty_as_text():
    gone = record(b"", facts={"key": "k", "tombstone": True})
    assert json.loads(envelope(gone, "json")) == {**ORDERS, "key": "k", "tombstone": True, "value": None}
    assert json.loads(envelope(gone, "text")) == {**ORDERS, "key": "k", "tombstone": True, "value": ""}


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1767225600.123, "2026-01-01T00:00:00.123Z"),
        (1767225600.9999, "2026-01-01T00:00:01.000Z"),
        (-0.25, "1969-12-31T23:59:59.750Z"),
        (1e300, 1e300),
        ("noon", "noon"),
        (True, True),
    ],
)
def test_time_as_people_write_it(moment, shown):
    assert json.loads(envelope(record(facts={"time": moment}, group={}), "text"))["time"] == shown


@pytest.mark.parametrize("fact", [float("nan"), b"bytes", object()])
def test_facts_that_are_no_json_cannot_be_written(fact):
    with pytest.raises(UnwritableError, match="what is known of it is no JSON"):
        envelope(record(facts={"fact": fact}), "text")


def test_half_of_a_surrogate_pair_in_a_fact():
    assert json.loads(envelope(record(facts={"key": "\ud800"}, group={}), "text"))["key"] == "\ud800"


def test_facts_may_be_told_when_asked_for():
    assert json.loads(envelope(record(facts=partial(dict, key="k"), group={}), "text")) == {"key": "k", "value": "x"}


# Filters


@pytest.mark.parametrize(
    ("pointer", "test", "operand", "is_met"),
    [
        ("/value/type", "equals", "order", True),
        ("/value/type", "equals", "refund", False),
        ("/value/type", "in", ["refund", "order"], True),
        ("/value/number", "equals", 1.0, True),
        ("/value/number", "equals", True, False),
        ("/value/flag", "equals", 1, False),
        ("/value/flag", "equals", True, True),
        ("/value/none", "equals", None, True),
        ("/value/missing", "equals", None, False),
        ("/value/none", "exists", True, True),
        ("/value/missing", "exists", True, False),
        ("/value/missing", "exists", False, True),
        ("/value/list/1/a", "equals", "second", True),
        ("/value/list/01", "exists", True, False),
        ("/value/list/2", "exists", True, False),
        ("/value/list/-1", "exists", True, False),
        ("/value/a~1b", "equals", "slash", True),
        ("/value/c~0d", "equals", "tilde", True),
        ("/value/e~01", "equals", "both", True),
        ("/value/type/deeper", "exists", True, False),
        ("/topic", "matches", re.compile("^ord"), True),
        ("/topic", "matches", re.compile("ders$"), True),
        ("/value/number", "matches", re.compile("1"), False),
        ("/key", "exists", True, True),
    ],
)
def test_conditions(pointer, test, operand, is_met):
    value = {"type": "order", "number": 1, "flag": True, "none": None, "list": ["first", {"a": "second"}]}
    value |= {"a/b": "slash", "c~d": "tilde", "e~1": "both"}
    one = record(json.dumps(value).encode(), facts={"key": None})
    condition = Condition(pointer, test, operand)
    assert is_wanted(one, Filter([condition], [])) is is_met
    assert is_wanted(one, Filter([], [condition])) is not is_met


def test_all_of_include_and_none_of_exclude():
    def has(key):
        return Condition(f"/value/{key}", "exists", True)

    wanted = Filter([has("a"), has("b")], [has("c"), has("d")])
    kept = [keys for keys in ("ab", "a", "b", "abc", "abd", "") if is_wanted(record(_object(keys)), wanted)]
    assert kept == ["ab"]


def _object(keys):
    return json.dumps(dict.fromkeys(keys, 1)).encode()


@pytest.mark.parametrize(("data", "value"), [(b"plain", "plain"), (b"NaN", "NaN"), (b"\xff", "\ufffd"), (b"", "")])
def test_what_is_no_json_is_looked_at_as_text(data, value):
    assert is_wanted(record(data), Filter([Condition("/value", "equals", value)], []))


def test_a_tombstone_is_null_to_a_filter():
    gone = record(b"", facts={"tombstone": True})
    assert is_wanted(gone, Filter([Condition("/value", "equals", None)], []))


def test_the_whole_document():
    assert resolve({"a": 1}, "") == {"a": 1}


def test_a_batch_of_which_nothing_is_left_still_goes_on():
    nobody = Filter([Condition("/value", "equals", "nobody")], [])
    it = Refined(record(), wanted=nobody)
    assert (it.batch.start, it.batch.end, it.written, it.files) == (1, 99, [], {})


# transform.py


def test_none_one_or_several():
    def transform(each):
        number = int(each.data)
        return [None, each._replace(data=b"one"), [each], [each, each], []][number]

    it = Refined(*(record(b"%d" % at, str(at)) for at in range(5)), transform=transform)
    assert it.written == [("1", b"one"), ("2", b"2"), ("3.1", b"3"), ("3.2", b"3")]


def names(made):
    """The names of what becomes of records: ``made`` says of each name how many come of it."""
    records = [record(b"%d" % count, name) for name, count in made.items()]
    return [name for name, _ in Refined(*records, transform=lambda each: [each] * int(each.data)).written]


def test_what_a_source_calls_like_one_of_several_gets_another_name():
    assert names({"17": 2, "17.1": 1, "17.2": 2, "17.1.0": 1}) == [
        "17.1", "17.2", "17.1.0", "17.2.1", "17.2.2", "17.1.0.0",
    ]  # fmt: skip
    # Nobody else's name changes, and without a transform nobody's at all.
    plain = ["17", "00000000000000000017", "a.b", "1.", ".", "1.2.c", "1,5", "1.٣", "17.1\n"]
    assert names(dict.fromkeys(plain, 1)) == plain
    assert [name for name, _ in Refined(record(name="17.1")).written] == ["17.1"]


@given(st.dictionaries(st.text("1.0\n-", max_size=6) | st.text(max_size=4), st.integers(0, 3)))
def test_no_two_records_get_one_name(made):
    found = names(made)
    assert len(found) == len(set(found)) == sum(made.values())


def test_neither_name_nor_group_can_be_changed():
    it = Refined(record(), transform=lambda each: Record(b"y", None, "other", {"topic": "other"}))
    [made] = it.batch.records
    assert (made.name, made.group) == ("17", ORDERS)


def test_the_filter_sees_what_comes_and_the_envelope_what_goes():
    wanted = Filter([Condition("/value", "equals", "in")], [])
    both = [record(b"in", "1"), record(b"out", "2")]
    it = Refined(*both, wanted=wanted, transform=lambda each: each._replace(data=b"out"), envelope="text")
    assert [json.loads(data)["value"] for _, data in it.written] == ["out"]


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (lambda each: 1 / 0, "transform.py: ZeroDivisionError: division by zero"),
        (lambda each: each.data, "transform.py returned bytes, not a Record"),
        (lambda each: (each,), "transform.py returned tuple, not a Record|transform.py returned Record"),
        (lambda each: [each, None], "transform.py returned list, not a Record"),
        (lambda each: each._replace(data="text"), "data is not bytes"),
    ],
)
def test_a_transform_that_does_not_do_it(transform, reason):
    it = Refined(record(), transform=transform, on_error="skip")
    assert it.written == []
    [line] = it.log
    assert line["event"] == "record_skipped"
    assert re.search(reason, line["reason"])


def test_a_fatal_error_of_a_transform_goes_through():
    def transform(each):
        raise FatalError("transform", found="f", expected="e", remedy="r")

    with pytest.raises(FatalError, match="found f"):
        Refined(record(), transform=transform, on_error="skip")


def test_the_file_is_imported_dataclasses_and_all(tmp_path):
    text = """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Order:
            number: int

        def transform(record):
            return record._replace(data=str(Order(1)).encode())
    """
    file = tmp_path / "transform.py"
    file.write_text(textwrap.dedent(text))
    assert load_transform(file)(record()).data == b"Order(number=1)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "no .*transform.py"),
        ("transform = 1", "without it"),
        ("def transform(", "SyntaxError"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_file_that_has_no_transform(tmp_path, text, found):
    file = tmp_path / "transform.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(FatalError, match=found) as error:
        load_transform(file)
    assert error.value.subject == "transform"


# on_error


def test_fail_ends_the_spout_and_says_which_record_and_why():
    with pytest.raises(FatalError, match="record 17 that cannot be written: its value is no JSON") as error:
        Refined(record(b"{"), envelope="json")
    assert "skip or dead_letter" in error.value.remedy


def test_skip_counts_and_logs_and_writes_the_others():
    it = Refined(record(b"1", "1"), record(b"{", "2"), record(b"3", "3"), envelope="json", on_error="skip")
    assert [name for name, _ in it.written] == ["1", "3"]
    assert (it.errors, it.batch.rejected) == (1, [])
    assert [(line["event"], line["record"]) for line in it.log] == [("record_skipped", "2")]


def test_a_dead_letter_has_the_reason_the_bytes_and_what_is_known():
    facts = {"key": "k", "time": 0, "reason": "its own", "name": "its own"}
    it = Refined(record(b"1", "1"), record(b"\xff{", "2", facts=facts), envelope="json", on_error="dead_letter")
    assert list(it.files) == ["data/1", "dead/2"]
    letter = json.loads(it.files["dead/2"])
    assert letter.pop("reason").startswith("its value is no JSON")
    assert base64.b64decode(letter.pop("value_base64")) == b"\xff{"
    assert letter == {**ORDERS, "key": "k", "time": "1970-01-01T00:00:00.000Z", "name": "2"}
    assert it.errors == 1


def test_a_dead_letter_of_facts_that_are_no_json_does_without_them():
    it = Refined(record(facts={"fact": b"bytes"}), envelope="text", on_error="dead_letter")
    letter = json.loads(it.files["dead/17"])
    assert set(letter) == {"reason", "topic", "partition", "name", "value_base64"}


def test_what_has_no_time_cannot_go_to_a_day_and_neither_does_its_dead_letter():
    it = Refined(
        record(b"a", "1", facts={"time": 0}),
        record(b"b", "2"),
        path="{date}/{first}", dead_letters="dead/{date}/{hour}/{first}", on_error="dead_letter",
    )  # fmt: skip
    assert list(it.files) == ["1970-01-01/1", "dead/%-/%-/2"]
    assert "no time of its own" in json.loads(it.files["dead/%-/%-/2"])["reason"]


def test_a_key_that_is_too_long_for_a_path_is_too_long_for_that_of_the_dead_letter():
    it = Refined(
        record(facts={"key": "k" * 5000}), path="{key}/{first}", dead_letters="dead/{key}/{first}",
        on_error="dead_letter",
    )  # fmt: skip
    [(path, data)] = it.files.items()
    assert path == "dead/%-/17"
    assert json.loads(data)["key"] == "k" * 5000


def test_of_several_that_a_transform_made_all_are_rejected_or_none():
    it = Refined(
        record(b"1"), envelope="json", on_error="dead_letter",
        transform=lambda each: [each, each._replace(data=b"{")],
    )  # fmt: skip
    assert it.written == []
    assert [each.name for each in it.batch.rejected] == ["17"]


def test_a_batch_that_is_read_again_becomes_the_same_files():
    def made():
        batch = [record(data, str(at)) for at, data in enumerate((b"1", b"{", b"[2]"))]
        return Refined(*batch, envelope="json", on_error="dead_letter", transform=lambda each: [each, each]).files

    assert made() == made()


# Putting it around a sink


def config(transform=False, wanted=None, **output):
    settings = {"path": "data/{first}", "format": "lines", **output}
    return Config("a", "b", {}, "m", False, Output(**settings), Limits(1, 1, 1), transform=transform, filter=wanted)


def test_a_sink_whose_records_stay_as_they_are_is_not_wrapped():
    sink = Last()
    assert refining(sink, config(), Log(None), Meter()) is sink
    made = [config(path="{key}/{first}"), config(envelope="text"), config(wanted=Filter([], []))]
    assert all(isinstance(refining(sink, each, Log(None), Meter()), Refining) for each in made)


def test_transform_py_is_the_one_of_the_project_and_a_new_one_changes_nothing():
    sink = Last()
    refined = refining(sink, config(transform=True), Log(None), Meter())
    refined.write(Batch(None, 17, [record()]), lambda position: None)
    assert sink.batch.records == [record()]


def test_everything_else_is_handed_on():
    sink = Last()
    refined = refining(sink, config(envelope="text"), Log(None), Meter())
    refined.begin(7)
    refined.flush(lambda position: None)
    refined.close()
    assert sink.calls == [("begin", 7), "flush", "close"]
