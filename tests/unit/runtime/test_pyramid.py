"""The symbol's marker: pyramids as positions, as text, as parts; and whatever is no pyramid is refused."""

import dataclasses
import io
import json
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spout.config import Config, Limits, Output
from spout.fatal import FatalError
from spout.marker import Announcement
from spout.sources import pyramid
from spout.sources.pyramid import EMPTY, PartsShape, TextShape

SYMBOLS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64), max_size=30)
PATH = Path("/pfs/mymark")
PARTS = PartsShape("mymark", "spoutmarker", "symbol")


def built(symbols):
    made = EMPTY
    for symbol in symbols:
        made = pyramid.grown(made, symbol)
    return made


def lines_of(symbols):
    return "".join("".join(symbols[: n + 1]) + "\n" for n in range(len(symbols)))


def contents(shape, made):
    announcement = Announcement(pyramid.to_position(pyramid.shrunk(made)), pyramid.to_position(made))
    files = [(file.path, file.size, b"".join(file.chunks)) for file in shape.files(announcement)]
    assert all(size == len(data) for _, size, data in files)
    return {path: data for path, _, data in files}


@given(SYMBOLS)
def test_a_pyramid_is_its_last_line_and_run_lengths(symbols):
    made = built(symbols)
    assert made.line == "".join(symbols)
    assert list(made.steps) == [(size, len(list(run))) for size, run in groupby(len(s) for s in symbols)]
    assert pyramid.height(made) == len(symbols)
    assert list(pyramid.lengths(made)) == [len(s) for s in symbols]


@given(SYMBOLS, st.text(min_size=1, max_size=64))
def test_shrunk_undoes_grown(symbols, symbol):
    assert pyramid.shrunk(pyramid.grown(built(symbols), symbol)) == built(symbols)


@given(SYMBOLS)
def test_positions_are_json_there_and_back(symbols):
    position = pyramid.to_position(built(symbols))
    assert pyramid.from_position(json.loads(json.dumps(position))) == built(symbols)
    assert (position is None) == (not symbols)


@given(SYMBOLS.filter(bool))
@example(["."] * 9)
@example(["é", "😀", "{{ 7*7 }}", "\u2028", "\x85", "\r"])
@example(["{}"])
def test_text_there_and_back(symbols):
    made = built(symbols)
    [(path, data)] = contents(TextShape("mymark"), made).items()
    assert (path, data.decode()) == ("mymark", lines_of(symbols))
    assert pyramid.read_text(io.BytesIO(data), PATH) == made


def test_the_last_line_of_the_text_is_the_announcement(tmp_path):
    (tmp_path / "mymark").write_text(".\n..\n..*\n")
    expected = Announcement({"steps": [[1, 2]], "line": ".."}, {"steps": [[1, 3]], "line": "..*"})
    assert TextShape("mymark").read(tmp_path / "mymark") == expected
    (tmp_path / "mymark").write_text(".\n")
    assert TextShape("mymark").read(tmp_path / "mymark") == Announcement(None, {"steps": [[1, 1]], "line": "."})


@given(st.lists(st.text("ab", min_size=1, max_size=64), min_size=2, max_size=8), st.data())
def test_a_text_cut_inside_a_line_is_seen(symbols, data):
    text = lines_of(symbols).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    if cut.endswith(b"\n"):  # cut between two lines it is the pyramid of an earlier time
        assert pyramid.read_text(io.BytesIO(cut), PATH) == built(symbols[: cut.count(b"\n")])
    else:
        with pytest.raises(FatalError):
            pyramid.read_text(io.BytesIO(cut), PATH)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "holds nothing"),
        (b"\n", "'\\n' in line 1"),
        (b".", "'.' in line 1"),
        (b".\n..", "'..' in line 2"),
        (b".\n...\n\n", "'\\n' in line 3"),
        (b".\n..\n..\n", "'..\\n' in line 3"),
        (b".\n..\n.\n", "'.\\n' in line 3"),
        (b".\n*.\n", "'*.\\n' in line 2"),
        (b".\n.\xff\n", "in line 2"),
        (b"\xff\xfe", "in line 1"),
        (b"." * 65 + b"\n", "in line 1"),
        ("é".encode() * 65 + b"\n", "in line 1"),
        (b"\x00" * 10**7, "in line 1"),
        (b".\n" + b"." * 10**7 + b"\n", "in line 2"),
        (b'{"spoutgen_marker":1,"spout":"spoutmarker","source":"symbol"}\n', "index of a marker with a prefix"),
        (b'{"spoutgen_marker":' + b" " * 10**6, "index of a marker with a prefix"),
    ],
)
def test_a_text_that_is_no_pyramid_is_refused(tmp_path, data, found):
    path = tmp_path / "mymark"
    path.write_bytes(data)
    with pytest.raises(FatalError) as caught:
        TextShape("mymark").read(path)
    assert caught.value.subject == "marker"
    assert found in caught.value.found
    assert "marker reset" in caught.value.remedy
    assert len(str(caught.value)) < 700


@given(SYMBOLS.filter(bool))
def test_the_index_there_and_back(tmp_path_factory, symbols):
    made = built(symbols)
    files = contents(PARTS, made)
    assert list(files) == ["mymark01", "mymark"]
    assert files["mymark01"].decode() == lines_of(symbols)
    path = tmp_path_factory.mktemp("index") / "mymark"
    path.write_bytes(files["mymark"])
    announced = PARTS.read(path)
    assert pyramid.from_position(announced.writing) == made
    assert pyramid.from_position(announced.committed) == pyramid.shrunk(made)


def test_the_index_itself():
    assert contents(PARTS, built("........."))["mymark"] == (
        b'{"spoutgen_marker":1,"spout":"spoutmarker","source":"symbol","steps":[[1,9]],"line":"........."}\n'
    )


def test_parts_of_a_thousand_lines_and_only_the_changed_one_is_written():
    symbols = ["."] * 1500 + ["**"] * 700  # the symbol changes in the middle of the second part
    whole = lines_of(symbols).encode().splitlines(keepends=True)
    branch, made = {}, EMPTY
    for at, symbol in enumerate(symbols):
        made = pyramid.grown(made, symbol)
        if at % 97 == 0 or at % 1000 in (0, 1, 998, 999) or at == len(symbols) - 1:
            files = contents(PARTS, made)
            assert list(files) == [f"mymark{at // 1000 + 1:02}", "mymark"]
            branch.update(files)
    assert branch["mymark01"] == b"".join(whole[:1000])
    assert branch["mymark02"] == b"".join(whole[1000:2000])
    assert branch["mymark03"] == b"".join(whole[2000:])
    assert json.loads(branch["mymark"])["steps"] == [[1, 1500], [2, 700]]


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"steps": [[1, 2]], "line": "..."}, "do not add up"),
        ({"steps": [], "line": ""}, "do not add up"),
        ({"steps": [[0, 2]], "line": ""}, "1 to 64 characters"),
        ({"steps": [[65, 1]], "line": "." * 65}, "1 to 64 characters"),
        ({"steps": [[1, 0]], "line": ""}, "1 to 64 characters"),
        ({"steps": [[1.0, 1]], "line": "."}, "[length, count]"),
        ({"steps": [[True, 1]], "line": "."}, "[length, count]"),
        ({"steps": [1], "line": "."}, "[length, count]"),
        ({"steps": {}, "line": "."}, "one line of text"),
        ({"steps": [[1, 1]], "line": "\n"}, "one line of text"),
        ({"steps": [[1, 1]], "line": 1}, "one line of text"),
        ({"steps": [[1, 1]]}, "the keys"),
        ({"steps": [[1, 1]], "line": ".", "more": 1}, "the keys"),
        ({"steps": [[1, 1]], "line": ".", "spout": "other"}, "of spout 'other'"),
        ({"steps": [[1, 1]], "line": ".", "source": "kafka"}, "of source 'kafka'"),
        ({"steps": [[1, 1]], "line": ".", "spoutgen_marker": 2}, "format 2"),
    ],
)
def test_an_index_that_cannot_be_is_refused(tmp_path, facts, found):
    index = {"spoutgen_marker": 1, "spout": "spoutmarker", "source": "symbol", **facts}
    path = tmp_path / "mymark"
    path.write_text(json.dumps(index, separators=(",", ":")))
    with pytest.raises(FatalError) as caught:
        PARTS.read(path)
    assert caught.value.subject == "marker"
    assert found in caught.value.found


@given(st.lists(st.sampled_from([".", "é", "**"]), min_size=1, max_size=14))
def test_a_plain_pyramid_is_read_and_becomes_parts_before_the_index(tmp_path_factory, symbols):
    path = tmp_path_factory.mktemp("plain") / "mymark"
    path.write_text(lines_of(symbols))
    shape, made = PartsShape("mymark", "spoutmarker", "symbol"), built(symbols)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid, "LINES_A_PART", 4)
        announced = shape.read(path)
        assert announced == TextShape("mymark").read(path)
        first = {file.path: b"".join(file.chunks) for file in shape.files(announced)}
        *parts, index = first
        assert index == "mymark"
        assert b"".join(first[part] for part in parts).decode() == lines_of(symbols)
        assert [first[part].count(b"\n") for part in parts[:-1]] == [4] * (len(parts) - 1)
        # From then on, and after the index was read, only the part that changes is written.
        path.write_bytes(first["mymark"])
        again = PartsShape("mymark", "spoutmarker", "symbol")
        assert again.read(path) == announced
        assert [file.path for file in again.files(announced)] == [parts[-1], "mymark"]
        more = Announcement(announced.writing, pyramid.to_position(pyramid.grown(made, ".")))
        assert [file.path for file in shape.files(more)] == [f"mymark{len(symbols) // 4 + 1:02}", "mymark"]


def test_a_text_that_is_neither_is_refused_and_nothing_is_written_for_it(tmp_path):
    (tmp_path / "mymark").write_text(".\n.*.\n.\n")
    with pytest.raises(FatalError) as caught:
        PartsShape("mymark", "spoutmarker", "symbol").read(tmp_path / "mymark")
    assert "in line 3" in caught.value.found


def test_the_config_chooses_the_shape():
    config = Config("spoutmarker", "symbol", {}, "mymark", False, Output("output", "lines"), Limits(1, 8, 5.0))
    assert isinstance(pyramid.shape(config, "symbol"), TextShape)
    assert isinstance(pyramid.shape(dataclasses.replace(config, marker_is_prefix=True), "symbol"), PartsShape)
    with pytest.raises(FatalError, match=r"batch\.records 2"):
        pyramid.shape(dataclasses.replace(config, batch=Limits(2, 8, 5.0)), "symbol")
