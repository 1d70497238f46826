"""Every bad example says exactly what its neighbour file expects: add NAME.yaml, get a test.

Examples that cannot be stored are made here; their expectations stand beside the others.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spoutgen.cli.main import main
from spoutgen.errors import CODES
from spoutgen.spec.document import HAS_LIBYAML

BAD = Path(__file__).parent / "bad"
STORED = sorted(path.stem for path in BAD.glob("*.yaml"))

GOOD = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source:
  type: symbol
  symbol: "."
marker: mymark
"""


def _huge(path: Path) -> None:
    with path.open("wb") as stream:
        for _ in range(100):
            stream.write(b"a: b\n" * 200_000)


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, "utf-8", newline="") and None


MADE: dict[str, Callable[[Path], None]] = {
    "made-100-mb": _huge,
    "made-one-byte-too-many": _text(GOOD + "#" * ((1 << 20) + 1 - len(GOOD))),
    "made-symbol-of-10000": _text(GOOD.replace('"."', '"' + "*" * 10_000 + '"')),
    "made-symbol-of-65": _text(GOOD.replace('"."', '"' + "*" * 65 + '"')),
    "made-deep-flow": _text(GOOD + "pipeline: " + "[" * 100_000),
    "made-deep-block": _text(GOOD + "pipeline:\n" + "".join(" " * n + "a:\n" for n in range(1, 1_000))),
    "made-deep-by-aliases": _text(
        GOOD + "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [[[[[[[*a{n - 1}]]]]]]]\n" for n in range(1, 20))
    ),
    "made-wide": _text(GOOD + "env:\n" + "".join(f"  A{n}: x\n" for n in range(20_000))),
    "made-wide-and-wrong": _text(GOOD + "env:\n" + "".join(f"  a-{n}: x\n" for n in range(20))),
    "made-wide-and-wrong-in-one-line": _text(
        GOOD + "env: {" + "".join(f"a-{n}: x, {' ' * 80}" for n in range(4_900)) + "A: x, DB_PASSWORD: hunter2}\n"
    ),
    "made-many-unknown-keys": _text(GOOD + "".join(f"unknown-{n}: x\n" for n in range(3_000))),
    "made-key-of-1-mb": _text(GOOD + "a" * 1_000_000 + ": x\n"),
    "made-value-of-1-mb": _text(GOOD.replace("mymark", "m" * 1_000_000)),
    "made-almost-credentials": _text(GOOD.replace("mymark", "eyJ-glpat-xoxb-?pwd=://" * 10_000)),
    "made-number-of-1-mb": _text(GOOD.replace("version: 1", "version: " + "1" * 1_000_000)),
    "made-quotes": _text(GOOD + 'a: "' + '"" "' * 200_000),
    "made-colons": _text(GOOD + ":" * 200_000),
    "made-question-marks": _text(GOOD + "? " * 100_000),
    "made-dashes": _text(GOOD + "- " * 100_000),
    "made-anchors": _text(GOOD + "env: {" + "".join(f"A{n}: &a{n} x, " for n in range(30_000)) + "}"),
    "made-comments": _text("#\n" * 100_000),
    "made-bytes": lambda path: path.write_bytes(b"\xff" * 1_000_000) and None,
}


@pytest.fixture(params=[pytest.param(True, marks=pytest.mark.skipif(not HAS_LIBYAML, reason="no libyaml")), False])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """libyaml, then the pure parser: a machine without libyaml says the same."""
    monkeypatch.setattr("spoutgen.spec.loading.HAS_LIBYAML", request.param)
    return bool(request.param)


@pytest.mark.parametrize("name", STORED)
@pytest.mark.usefixtures("parser")
def test_stored(
    name: str, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(BAD)
    assert main(["validate", f"{name}.yaml"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    golden(BAD / f"{name}.expected", output.err)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made")
    for name, write in MADE.items():
        write(folder / f"{name}.yaml")
    yield folder
    for name in MADE:
        (folder / f"{name}.yaml").unlink()


def _shortened(report: str) -> str:
    """Thousands of findings are told all, but need not be stored."""
    lines = report.splitlines(keepends=True)
    return report if len(lines) < 60 else "".join([*lines[:20], f"[{len(lines) - 32} lines]\n", *lines[-12:]])


@pytest.mark.parametrize("name", MADE)
@pytest.mark.usefixtures("parser")
def test_made(
    name: str,
    made: Path,
    golden: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(made)
    assert main(["validate", f"{name}.yaml"]) == 1
    golden(BAD / f"{name}.expected", _shortened(capsys.readouterr().err))


MEASURE = """
import re, sys
from spoutgen.cli.main import main
status = main(["validate", *sys.argv[1:]])
# Not ru_maxrss: that one begins with the size of the process that started this one.
print(status, re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


def test_memory_stays_small(made: Path) -> None:
    """All of them in one process, under 200 MB at its highest."""
    files = [*(BAD / f"{name}.yaml" for name in STORED), *(made / f"{name}.yaml" for name in MADE)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, files)], capture_output=True, text=True, timeout=120, check=True
    )
    status, kilobytes = map(int, done.stdout.split())
    assert status == 1
    assert kilobytes < 200_000


def test_each_code_of_a_spec_is_shown_by_an_example() -> None:
    shown = set(re.findall(r"\bSG\d{3}\b", "".join(path.read_text("utf-8") for path in BAD.glob("*.expected"))))
    # A file that cannot be read and an edit that cannot be made are tested where those things happen.
    assert {code for code in CODES if code < "SG4"} - shown == {"SG101", "SG110"}


def test_no_expectation_without_its_example() -> None:
    assert {path.stem for path in BAD.glob("*.expected")} == {*STORED, *MADE}


def test_no_finding_shows_a_credential() -> None:
    for path in BAD.glob("*.expected"):
        text = path.read_text("utf-8")
        assert not re.search("hunter2|4711|AKIAIOS", text), path.name
