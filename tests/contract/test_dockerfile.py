"""The Dockerfile that users receive: hadolint's default rules, whatever the source needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.project import render as rendering
from spoutgen.spec import load_text

SPEC = 'version: 1\nname: a\nimage: a:v1\nsource: {type: symbol, symbol: "."}\nmarker: m\n'


@pytest.mark.parametrize("requirements", [[], ["some-driver==1.2.3"]])
def test_hadolint(requirements, tmp_path, monkeypatch):
    schema = {"x-spoutgen": {"requirements": requirements}}
    monkeypatch.setattr(rendering, "source_schema", lambda source_type: schema)
    tree = rendering.render(load_text(SPEC, "spout.yaml")).tree
    assert (b"pip install" in tree["Dockerfile"].data) == bool(requirements)
    assert [line for line in tree["requirements.txt"].data.decode().splitlines() if line[0] != "#"] == requirements
    file = tmp_path / "Dockerfile"
    file.write_bytes(tree["Dockerfile"].data)
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(file)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
