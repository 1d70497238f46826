"""The custom source: what is wrong with a source.py is said at once, and where."""

import textwrap

import pytest
from spout.config import Config, Limits, Output
from spout.fatal import FatalError
from spout.marker import JsonShape
from spout.records import Limit, Record
from spout.sources import custom
from spout.sources.custom import FILE, CustomSource

GOOD = """
from spout.records import Record

class Source:
    identity, needs_ack = "numbers", True
    def __init__(self, options): self.options, self.calls = options, []
    def open(self, position): self.calls.append(("open", position))
    def read(self, limit, timeout): return [Record(b"1", 1, "1")]
    def ack(self, position): self.calls.append(("ack", position))
    def close(self): self.calls.append(("close",))
"""
LIMIT = Limit(10, 10)


def made(folder, text, **more):
    (folder / "source.py").write_text(textwrap.dedent(text))
    return CustomSource({"options": {"a": [1]}, **more}, folder / "source.py")


def refused(folder, text):
    with pytest.raises(FatalError) as caught:
        made(folder, text).read(LIMIT, 0.0)
    assert caught.value.subject == "source"
    assert str(folder / "source.py") in caught.value.found
    return caught.value


def test_it_hands_everything_on(tmp_path):
    source = made(tmp_path, GOOD)
    source.open(5)
    assert source.read(LIMIT, 0.1) == [Record(b"1", 1, "1")]
    source.ack(1)
    source.close()
    assert source._source.options == {"a": [1]}
    assert source._source.calls == [("open", 5), ("ack", 1), ("close",)]
    assert source.needs_ack is True


def test_its_identity_is_the_spec_s_or_its_own(tmp_path):
    assert made(tmp_path, GOOD).identity == "custom:numbers"
    assert made(tmp_path, GOOD, identity="orders").identity == "custom:orders"


def test_the_file_stands_beside_main_py_and_a_new_one_is_a_counter():
    assert (FILE.parent / "main.py").is_file()
    source = custom.make({"options": {"interval": 0}}, None)
    source.open(None)
    assert source.read(LIMIT, 0.0)[0] == Record(b'{"number": 1}', 1, "1")
    with pytest.raises(FatalError):
        source.read(Limit(10, 10, until=-1), 0.0)


def test_its_marker_is_json():
    config = Config("aspout", "custom", {}, "mymark", False, Output("a", "lines"), Limits(1, 1, 1.0))
    assert isinstance(custom.shape(config, "custom:numbers"), JsonShape)


@pytest.mark.parametrize("options", [{}, {"options": {}, "interval": 1}])
def test_other_settings_are_refused(options):
    with pytest.raises(FatalError, match="source with the keys"):
        CustomSource(options)


def test_no_file(tmp_path):
    with pytest.raises(FatalError, match="no such file"):
        CustomSource({"options": {}}, tmp_path / "source.py")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("class Source\n", "SyntaxError: expected ':' (line 1)"),
        ("\n\n1 / 0\n", "ZeroDivisionError: division by zero (line 3)"),
        ("def f():\n    1 / 0\nf()\n", "(line 2)"),
        ("import nosuchdriver\n", "ModuleNotFoundError: No module named 'nosuchdriver' (line 1)"),
        ("", "no class Source"),
        ("Source = 5", "a Source that is no class"),
        (GOOD.replace("self, options): self", "self): self"), "TypeError"),
        (GOOD.replace("self.options, self.calls = options, []", "options['topic']"), "KeyError: 'topic' (line 6)"),
        (
            GOOD.replace("def read(self, limit, timeout)", "def read(self, limit)"),
            "read() does not take limit, timeout",
        ),
        (
            GOOD.replace("def ack", "def acknowledge").replace("def close(self)", "def close(self, now)"),
            "without ack()",
        ),
        (GOOD.replace("def ack", "def acknowledge").replace("def close(self)", "def close(self, now)"), "no argument"),
        (GOOD.replace('"numbers", True', "None, True"), "identity None"),
        (GOOD.replace('"numbers", True', '"", True'), "identity str ''"),
        (GOOD.replace('"numbers", True', '"numbers", 1'), "needs_ack int 1"),
        (GOOD.replace('[Record(b"1", 1, "1")]', "None"), "read() that returned None"),
        (GOOD.replace('[Record(b"1", 1, "1")]', '(Record(b"1", 1, "1"),)'), "read() that returned tuple"),
        (GOOD.replace('[Record(b"1", 1, "1")]', "[1]"), "read() that returned int 1"),
        (GOOD.replace('b"1"', '"1"'), "a Record of str '1'"),
        (GOOD.replace('1, "1")', "1, 1)"), "name int 1"),
        (GOOD.replace('1, "1")', 'None, "1")'), "position None"),
    ],
)
def test_what_is_wrong_with_it(tmp_path, text, found):
    assert found in refused(tmp_path, text).found


def test_a_driver_that_is_missing_has_its_own_remedy(tmp_path):
    assert "requirements.txt" in refused(tmp_path, "import nosuchdriver\n").remedy


@pytest.mark.parametrize(
    "place", ["\nraise FatalError(**WRONG)\n", "\nclass Source:\n def __init__(self, o): raise FatalError(**WRONG)\n"]
)
def test_its_own_fatal_errors_pass(tmp_path, place):
    wrong = "WRONG = dict(subject='config', found='no topic', expected='one', remedy='add it')"
    with pytest.raises(FatalError, match="no topic") as caught:
        made(tmp_path, f"from spout.fatal import FatalError\n{wrong}\n{place}")
    assert caught.value.subject == "config"


def test_dataclasses_work_in_it(tmp_path):
    """They look for the module they were defined in."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n"
    assert made(tmp_path, text + GOOD).identity == "custom:numbers"
