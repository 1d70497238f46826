"""spoutgen reads and makes marker files from outside; the runtime has the say over them. Both must mean the same."""

import json

import pytest
from spout.fatal import FatalError
from spout.marker import Announcement, JsonShape
from spout.sources.pyramid import EMPTY, PartsShape, TextShape, grown, shrunk, to_position

from spoutgen.deployment.position import MarkerError, check_fits, in_words, made, read
from spoutgen.project.difference import Facts, MarkerFact

SYMBOLS = [".", ".", "*", "**", "é", "**", "**"]


def facts(source, is_prefix=False):
    return Facts(1, "dots", MarkerFact("mymark", is_prefix), source, {})


def pyramids():
    pyramid = EMPTY
    for symbol in SYMBOLS:
        pyramid = grown(pyramid, symbol)
        yield pyramid


def written(shape, announcement) -> bytes:
    return b"".join(shape.files(announcement)[-1].chunks)


@pytest.mark.parametrize("shape", [TextShape("mymark"), PartsShape("mymark", "dots", "symbol")])
def test_a_pyramid_that_the_runtime_wrote(shape, tmp_path):
    is_prefix = isinstance(shape, PartsShape)
    for pyramid in pyramids():
        announcement = Announcement(to_position(shrunk(pyramid)), to_position(pyramid))
        data = written(shape, announcement)
        found = read(data)
        assert (found.committed, found.writing) == (announcement.committed, announcement.writing)
        (tmp_path / "mymark").write_bytes(made(found.writing, facts("symbol", is_prefix), None))
        assert shape.read(tmp_path / "mymark") == announcement
        assert (tmp_path / "mymark").read_bytes() == data


def test_a_spout_by_prefix_goes_on_from_a_plain_pyramid_and_not_the_other_way(tmp_path):
    *_, pyramid = pyramids()
    announcement = Announcement(to_position(shrunk(pyramid)), to_position(pyramid))
    by_name, by_prefix = TextShape("mymark"), PartsShape("mymark", "dots", "symbol")
    text, index = written(by_name, announcement), written(by_prefix, announcement)
    (tmp_path / "mymark").write_bytes(text)
    assert by_prefix.read(tmp_path / "mymark") == announcement
    assert check_fits(text, facts("symbol", True), None).writing == announcement.writing
    (tmp_path / "mymark").write_bytes(index)
    with pytest.raises(FatalError):
        by_name.read(tmp_path / "mymark")
    with pytest.raises(MarkerError, match="takes a pyramid in plain text"):
        check_fits(index, facts("symbol"), None)


@pytest.mark.parametrize("position", [7, {"a": [1, 2]}, "text", [0]])
def test_json(position, tmp_path):
    shape = JsonShape("mymark", "dots", "queue:x")
    data = written(shape, Announcement(position, {"to": 1}))
    found = read(data)
    assert (found.committed, found.writing, found.spout, found.source) == (position, {"to": 1}, "dots", "queue:x")
    (tmp_path / "mymark").write_bytes(made(position, facts("custom"), data))
    assert shape.read(tmp_path / "mymark") == Announcement(position, None)


@pytest.mark.parametrize(
    "position", [None, 3, {"steps": [], "line": ""}, {"steps": [[1, 2]], "line": "..."}, {"line": "."}]
)
def test_a_position_that_no_symbol_source_can_have(position):
    with pytest.raises(MarkerError):
        made(position, facts("symbol"), None)


@pytest.mark.parametrize("data", [b"", b".", b".\n.\n", b".\n...\n..\n", b"\xff\n", b"\n", b".\n\n"])
def test_what_the_runtime_refuses_is_refused_here(data, tmp_path):
    (tmp_path / "mymark").write_bytes(data)
    with pytest.raises(FatalError):
        TextShape("mymark").read(tmp_path / "mymark")
    with pytest.raises(MarkerError):
        read(data)


def test_words():
    assert in_words(read(b".\n")) == '1 line, the last one "."'
    marker = {"spoutgen_marker": 1, "spout": "a", "source": "b", "committed": None, "writing": {"offset": 3}}
    assert in_words(read(json.dumps(marker, separators=(",", ":")).encode())) == (
        'at the beginning; writing up to {"offset": 3}'
    )
