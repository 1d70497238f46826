"""Between the loop and the sink: records are filtered, transformed and wrapped in an envelope, as the spec says.

All of it is a function of the record alone, so a batch that is read again becomes the same files again. What cannot be
written is met as ``output.on_error`` says: ``fail`` (the spout ends, nothing is passed over), ``skip`` (counted and
logged) or ``dead_letter`` (written to ``output.dead_letters``, with the reason).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spout.config import Condition, Config, Filter, Output
from spout.fatal import FatalError, brief
from spout.log import Log
from spout.metrics import Meter
from spout.output import dated, fault_of
from spout.own_file import imported
from spout.records import Batch, Position, Record, Sink

TRANSFORM = Path(__file__).resolve().parents[1] / "transform.py"

Transform = Callable[[Record], "Record | Sequence[Record] | None"]

_DEPENDS_ON_THE_RECORD = re.compile(r"\{(date|hour|key)\}")
_LIKE_ONE_OF_SEVERAL = re.compile(r"\.[0-9]+\Z")
_ABSENT = object()
_ONE_LINE = {ord("\n"): " ", ord("\r"): " "}


def refining(sink: Sink, config: Config, log: Log, meter: Meter, transform: Path = TRANSFORM) -> Sink:
    """``sink``, given what the spec makes of the records; ``sink`` itself where it makes nothing of them."""
    output = config.output
    can_fail = output.envelope == "json" or config.transform or _DEPENDS_ON_THE_RECORD.search(output.path)
    if not can_fail and not config.filter and output.envelope == "none":
        return sink
    function = load_transform(transform) if config.transform else None
    return Refining(sink, output, config.filter, function, log, meter)


class UnwritableError(Exception):
    """This record cannot be written; the message says why."""


class Refining:
    """Wraps ``sink``: what is not wanted never reaches it, the rest as the spec wants it."""

    def __init__(
        self,
        sink: Sink,
        output: Output,
        wanted: Filter | None,
        transform: Transform | None,
        log: Log,
        meter: Meter,
    ) -> None:
        self._sink = sink
        self._output = output
        self._filter = wanted
        self._transform = transform
        self._log = log
        self._meter = meter

    def begin(self, position: Position) -> None:
        """As the wrapped sink does."""
        self._sink.begin(position)

    def write(self, batch: Batch, committed: Callable[[Position], None]) -> None:
        """Write what ``batch`` becomes; an empty one still moves the marker on."""
        records: list[Record] = []
        rejected: list[Record] = []
        for record in batch.records:
            try:
                records += self._refined(record)
            except UnwritableError as error:
                rejected += self._rejected(record, str(error))
        self._sink.write(replace(batch, records=records, rejected=rejected), committed)

    def flush(self, committed: Callable[[Position], None]) -> None:
        """As the wrapped sink does."""
        self._sink.flush(committed)

    def close(self) -> None:
        """As the wrapped sink does."""
        self._sink.close()

    def _refined(self, record: Record) -> list[Record]:
        if self._filter and not is_wanted(record, self._filter):
            return []
        return [self._enveloped(each) for each in self._transformed(record)]

    def _transformed(self, record: Record) -> list[Record]:
        """What transform.py makes of the record; several get names of their own: 17.1, 17.2, ...

        So a record that stays one, and that its source itself calls 17.1, is called 17.1.0.
        """
        if self._transform is None:
            return [record]
        try:
            made = self._transform(record)
        except FatalError:
            raise
        except Exception as error:  # a transform may raise anything
            raise UnwritableError(f"transform.py: {type(error).__name__}: {brief(error, 400)}") from error
        if made is None:
            return []
        found = [made] if isinstance(made, Record) else made
        if not isinstance(found, list) or not all(isinstance(each, Record) for each in found):
            raise UnwritableError(f"transform.py returned {type(made).__name__}, not a Record, a list of them or None")
        if any(not isinstance(each.data, bytes) for each in found):
            raise UnwritableError("transform.py returned a Record whose data is not bytes")
        only = f"{record.name}.0" if _LIKE_ONE_OF_SEVERAL.search(record.name) else record.name
        names = [only] if len(found) == 1 else [f"{record.name}.{at}" for at in range(1, len(found) + 1)]
        return [each._replace(name=name, group=record.group) for each, name in zip(found, names, strict=True)]

    def _enveloped(self, record: Record) -> Record:
        if fault := fault_of(record, self._output.path):
            raise UnwritableError(fault)
        if self._output.envelope == "none":
            return record
        return record._replace(data=envelope(record, self._output.envelope))

    def _rejected(self, record: Record, why: str) -> Iterator[Record]:
        facts = {"record": brief(record.name), "reason": why}
        if self._output.on_error == "fail":
            raise FatalError(
                "output",
                found=f"record {facts['record']} that cannot be written: {why}",
                expected="records that can be written (`output.on_error: fail`)",
                remedy="mend the record's producer or transform.py, or set `output.on_error` to skip or dead_letter",
            )
        self._meter.add("errors_total")
        self._log.warning("record_skipped" if self._output.on_error == "skip" else "dead_letter", **facts)
        if self._output.on_error == "dead_letter":
            yield _dead_letter(record, why, self._output.dead_letters)


def envelope(record: Record, kind: str) -> bytes:
    """One JSON object: all that is known of the record, and its bytes as ``value``.

    ``text``: a text, or ``value_base64`` where they are not UTF-8. ``json``: the JSON value that they are, as it is
    written there: a number of thirty digits keeps them.
    """
    about = _about(record)
    about.pop("value", None)
    if kind == "json":
        if about.get("tombstone"):
            return _json({**about, "value": None})
        text = _json_text(record.data)
        start = _json(about)[:-1]
        return b'%s%s"value":%s}' % (start, b"," * bool(about), text.encode())
    try:
        about["value"] = record.data.decode()
    except UnicodeDecodeError:
        about["value_base64"] = base64.b64encode(record.data).decode()
    return _json(about)


def _json_text(data: bytes) -> str:
    """The JSON that ``data`` is, in one line."""
    try:
        text = data.decode("utf-8-sig")
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise UnwritableError(f"its value is no JSON ({error})") from error
    return text.strip().translate(_ONE_LINE)  # a line break can stand between values only, never in a text


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _dead_letter(record: Record, why: str, path: str) -> Record:
    """What is kept of a record that cannot be written: its bytes, and all that is known of it and can be written."""
    rest = {"name": record.name, "reason": why, "value_base64": base64.b64encode(record.data).decode()}
    try:
        data = _json({"reason": why, **_about(record), **rest})
    except UnwritableError:
        data = _json({"reason": why, **record.group, **rest})
    if fault_of(record, path):  # no time, or too long a key: the letter has it, its path does without
        record = record._replace(facts={})
    return record._replace(data=data)


def _about(record: Record) -> dict[str, Any]:
    """The facts, with the time as people write it."""
    about = record.about()
    moment = about.get("time")
    if dated(moment, "%Y") is not None and isinstance(moment, (int, float)):
        seconds, thousandths = divmod(round(moment * 1000), 1000)  # not cut: 0.123 s is 0.12299... as a float
        about["time"] = f"{dated(seconds, '%Y-%m-%dT%H:%M:%S')}.{thousandths:03}Z"
    return about


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnwritableError(f"what is known of it is no JSON ({error})") from error
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON's escapes can say and UTF-8 cannot
        return json.dumps(value, separators=(",", ":")).encode()


# Filters


def is_wanted(record: Record, wanted: Filter) -> bool:
    """Whether the record meets every condition of ``include`` and none of ``exclude``."""
    document = _about(record)
    try:
        is_tombstone = document.get("tombstone")
        document["value"] = None if is_tombstone else json.loads(record.data, parse_constant=_no_json)
    except (ValueError, RecursionError):
        document["value"] = record.data.decode(errors="replace")
    return all(_meets(document, condition) for condition in wanted.include) and not any(
        _meets(document, condition) for condition in wanted.exclude
    )


def _meets(document: Any, condition: Condition) -> bool:
    value = resolve(document, condition.pointer)
    if condition.test == "exists":
        return bool(condition.operand) == (value is not _ABSENT)
    if condition.test == "matches":
        return isinstance(value, str) and condition.operand.search(value) is not None
    wanted = condition.operand if condition.test == "in" else [condition.operand]
    return any(_is_equal(value, each) for each in wanted)


def _is_equal(value: Any, other: Any) -> bool:
    """As JSON has it: 1 is 1.0, and is not true."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def resolve(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) points to; a value of its own where it points to nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and re.fullmatch("0|[1-9][0-9]{0,9}", key) and int(key) < len(document):
            document = document[int(key)]
        else:
            return _ABSENT
    return document


# transform.py


def load_transform(file: Path) -> Transform:
    """The function ``transform`` of the project's transform.py; FatalError if there is none that can be had."""
    remedy = "mend transform.py, then build the image anew; without one: take `transform` out of spout.yaml"
    expected = "a file with a function transform(record)"
    if not file.is_file():
        raise FatalError("transform", found=f"no {file}", expected=expected, remedy=remedy)
    try:
        module = imported(file, "transform")
    except FatalError:
        raise
    except Exception as error:
        found = f"{file}: {type(error).__name__}: {brief(error, 200)}"
        raise FatalError("transform", found=found, expected="a file that can be imported", remedy=remedy) from error
    function = getattr(module, "transform", None)
    if not callable(function):
        raise FatalError("transform", found=f"{file} without it", expected=expected, remedy=remedy)
    made: Transform = function
    return made
