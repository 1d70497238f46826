"""A value of the spec arrives at the running runtime exactly as it was written, whatever it looks like."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spoutgen.local.environment import _expanded as expanded
from spoutgen.project.render import render
from spoutgen.resources import template_dir
from spoutgen.spec import load_text

HOSTILE = [
    "{{ 7*7 }}",
    "{% raw %}",
    "{# #}",
    '"; import os',
    "$(id)",
    "$$",
    "${HOME}",
    "`id`",
    "'''",
    '"""',
    "\\",
    "\\n",
    "\\u0024",
    "%s{0}",
    "#",
    "- x",
    "*",
    "&a",
    "é",
    "😀",
    "a b",
    "<>&'\"",
]
PRINTABLE = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"])
SYMBOLS = st.text(PRINTABLE, min_size=1, max_size=64) | st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map(
    "".join
)


def rendered(symbol: str, description: str) -> dict[str, bytes]:
    """The project's files for a symbol and a description, written as YAML's double-quoted scalars."""
    text = (
        "version: 1\nname: values\nimage: values:v1\nmarker: mymark\n"
        f"description: {json.dumps(description, ensure_ascii=False)}\n"
        f"source: {{type: symbol, symbol: {json.dumps(symbol, ensure_ascii=False)}, interval: 1ms}}\n"
    )
    return {path: entry.data for path, entry in render(load_text(text, "spout.yaml")).tree.items()}


def first_marker_of(environment: dict[str, str]) -> bytes:
    """Run the runtime under ``environment`` until its first marker has come through the FIFO."""
    with tempfile.TemporaryDirectory() as pfs:
        os.mkfifo(Path(pfs, "out"))
        Path(pfs, "mymark").symlink_to("nowhere")
        main = template_dir() / "{{cookiecutter.name}}/main.py"
        surroundings = {"PATH": os.environ["PATH"], "SPOUT_PFS_ROOT": pfs, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, str(main)]
        process = subprocess.Popen(command, env={**surroundings, **environment}, stdout=subprocess.DEVNULL)
        try:
            with Path(pfs, "out").open("rb") as fifo, tarfile.open(fileobj=fifo, mode="r|", bufsize=512) as tar:
                entry = tar.next()
                assert entry is not None
                assert entry.name == "mymark"
                file = tar.extractfile(entry)
                assert file is not None
                return file.read()
        finally:
            process.kill()
            process.wait()


def check(symbol: str, description: str) -> None:
    files = rendered(symbol, description)
    pipeline = json.loads(files["pipeline.json"])
    assert pipeline["description"] == description
    environment = {"HOME": "/root", "id": "no"}
    environment |= {name: expanded(value, environment) for name, value in pipeline["transform"]["env"].items()}
    assert first_marker_of(environment) == symbol.encode() + b"\n"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value(value):
    check(value, value * 3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SYMBOLS, st.text(PRINTABLE | st.sampled_from(" \n"), max_size=30))
def test_any_value(symbol, description):
    check(symbol, description)
