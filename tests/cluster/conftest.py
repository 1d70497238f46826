"""Projects to deploy, a cluster to deploy them to, and pachctl's config between them."""

from __future__ import annotations

import json
from pathlib import Path

import fake_pachctl
import pytest
from pachd1 import TOKEN, Cluster, serving

from spoutgen.cli.main import main
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text


@pytest.fixture
def cluster():
    return Cluster(token=TOKEN)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write pachctl's config; the context is ``test``."""

    def write(**context) -> Path:
        file = tmp_path / "pachctl.json"
        contexts = {"test": {"session_token": TOKEN, **context}, "other": {"pachd_address": "127.0.0.1:1"}}
        file.write_text(json.dumps({"v2": {"active_context": "test", "contexts": contexts}}))
        return file

    monkeypatch.setenv("PACH_CONFIG", str(tmp_path / "pachctl.json"))
    monkeypatch.delenv("PACH_CONTEXT", raising=False)
    return write


@pytest.fixture
def server(cluster, config):
    with serving(cluster) as port:
        config(pachd_address=f"grpc://127.0.0.1:{port}")
        yield cluster


@pytest.fixture
def calls(cluster, config, tmp_path, monkeypatch):
    """pachctl on PATH, asking the same cluster; gives the words of each call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    config(pachd_address="grpc://pachd.invalid:30650")
    with fake_pachctl.on_path(folder, cluster) as (path, calls):
        monkeypatch.setenv("PATH", str(path))
        yield calls


@pytest.fixture(params=["api", "pachctl"])
def way(request):
    """Both ways of asking; the test's commands take the one that is there."""
    request.getfixturevalue("server" if request.param == "api" else "calls")
    return request.param


@pytest.fixture
def project(tmp_path):
    """``project(name, **changes)``: a project folder for a spout."""

    def make(name="spoutmarker", symbol=".", marker="mymark", image="spout-marker:v1", more="", folder=None):
        text = (
            f"version: 1\nname: {name}\nimage: {image}\nsource:\n  type: symbol\n  symbol: {json.dumps(symbol)}\n"
            f"marker: {marker}\n{more}"
        )
        where = tmp_path / (folder or name)
        create(render(load_text(text, "spout.yaml")), where)
        return where

    return make


@pytest.fixture
def spoutgen(capfd):
    """Run the command; gives its status and what it printed. The token must never be in that."""

    class Ran:
        def __init__(self, status, out, err):
            self.status, self.out, self.err = status, out, err

    def run(*words, **_):
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        return Ran(status, out, err)

    return run
