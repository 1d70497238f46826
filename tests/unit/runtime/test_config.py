"""SPOUT_CONFIG: what is taken, and that everything else is refused with what was found and expected."""

import json

import pytest
from spout.config import Config, Limits, Output, read_config
from spout.fatal import FatalError

from .spouts import SYMBOL


def read(value):
    return read_config({b"SPOUT_CONFIG": json.dumps(value, ensure_ascii=False).encode()})


def test_the_whole_of_it():
    assert read(SYMBOL) == Config(
        name="spoutmarker",
        source="symbol",
        options={"symbol": ".", "interval": 0.001},
        marker="mymark",
        marker_is_prefix=False,
        output=Output("output", "lines"),
        batch=Limits(1, 8388608, 5.0),
    )


def test_a_marker_by_prefix():
    config = read({**SYMBOL, "marker": {"prefix": "mymark"}})
    assert (config.marker, config.marker_is_prefix) == ("mymark", True)


def test_bytes_are_utf_8_whatever_the_locale_says():
    symbol = "é😀{{ 7*7 }}$(id)'''\\\""
    config = read({**SYMBOL, "source": {"type": "symbol", "symbol": symbol, "interval": 1}})
    assert config.options["symbol"] == symbol


def test_files_need_a_name_for_each_record():
    assert read({**SYMBOL, "output": {"path": "d/{last}", "format": "files"}}).output == Output("d/{last}", "files")


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, "no such variable"),
        ({b"SPOUT_CONFIG": b""}, "not JSON"),
        ({b"SPOUT_CONFIG": b'{"version": 1'}, "not JSON"),
        ({b"SPOUT_CONFIG": b'"\xff"'}, "not JSON"),
        ({b"SPOUT_CONFIG": b"[]"}, "SPOUT_CONFIG that is list"),
    ],
)
def test_no_config_at_all(environ, found):
    with pytest.raises(FatalError) as caught:
        read_config(environ)
    assert found in caught.value.found
    assert "SPOUT_CONFIG" in caught.value.found + caught.value.expected
    assert "spoutgen update" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"version": 2}, "version 2"),
        ({"version": 2, "more": 1}, "version 2"),
        ({"version": "1"}, "version 1"),
        ({"more": 1}, "keys version, name, source, marker, output, batch, more"),
        ({"name": ""}, "name ''"),
        ({"name": 5}, "name 5"),
        ({"source": "symbol"}, "source that is str"),
        ({"source": {}}, "source.type None"),
        ({"marker": "mymark"}, "marker that is str"),
        ({"marker": {}}, "marker {}"),
        ({"marker": {"name": "a", "prefix": "a"}}, "marker {"),
        ({"marker": {"name": "a/b"}}, "marker 'a/b'"),
        ({"marker": {"name": "out"}}, "marker 'out'"),
        ({"marker": {"prefix": ".."}}, "marker '..'"),
        ({"marker": {"name": 1}}, "marker 1"),
        ({"output": {"path": "a"}}, "output with the keys path"),
        ({"output": {"path": "", "format": "lines"}}, "output.path ''"),
        ({"output": {"path": "a", "format": "csv"}}, "output.format 'csv'"),
        ({"output": {"path": "a", "format": "files"}}, "output.path 'a'"),
        ({"batch": {"records": 0, "bytes": 1, "wait": 1}}, "batch.records 0"),
        ({"batch": {"records": True, "bytes": 1, "wait": 1}}, "batch.records True"),
        ({"batch": {"records": 1.0, "bytes": 1, "wait": 1}}, "batch.records 1.0"),
        ({"batch": {"records": 1, "bytes": -1, "wait": 1}}, "batch.bytes -1"),
        ({"batch": {"records": 1, "bytes": 1, "wait": -1}}, "batch.wait -1"),
        ({"batch": {"records": 1, "bytes": 1, "wait": "5s"}}, "batch.wait '5s'"),
        ({"batch": {"records": 1, "bytes": 1, "wait": float("nan")}}, "batch.wait nan"),
        ({"batch": {"records": 1, "bytes": 1, "wait": float("inf")}}, "batch.wait inf"),
    ],
)
def test_refusals(change, found):
    with pytest.raises(FatalError) as caught:
        read({**SYMBOL, **change})
    assert caught.value.subject == "config"
    assert found in caught.value.found


@pytest.mark.parametrize("key", list(SYMBOL))
def test_a_missing_key(key):
    with pytest.raises(FatalError):
        read({name: value for name, value in SYMBOL.items() if name != key})
