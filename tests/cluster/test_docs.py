"""The sessions in the docs that are marked `<!-- run -->`: every command is run, every line of its answer compared.

`...` stands for anything, also for any number of lines.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PYRAMIDS = [b".\n", b".\n..\n", b".\n..\n...\n", b".\n..\n...\n...*\n"]


def session(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with the answer that it is said to give."""
    blocks = re.findall(r"<!-- run -->\n```console\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    return [(command, answer) for command, answer in found]


def told(command: str, answer: str, spoutgen) -> None:
    words = shlex.split(command.replace("=*", "='*'"))
    assert words[0] == "spoutgen"
    ran = spoutgen(*words[1:])
    pattern = re.escape(answer).replace(re.escape("..."), r"[\s\S]*?").replace(r"\n[\s\S]*?\n", r"\n[\s\S]*")
    assert re.fullmatch(pattern, ran.out + ran.err), f"{command} gave\n{ran.out}{ran.err}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_to_a_cluster(server, here, spoutgen):
    for command, answer in session("tutorial/to-a-cluster.md"):
        told(command, answer, spoutgen)


def test_rewind(server, here, spoutgen, project):
    assert spoutgen("deploy", project()).status == 0
    for pyramid in PYRAMIDS:
        server.commit("spoutmarker", "marker", {"/mymark": pyramid})
    for command, answer in session("how-to/rewind.md"):
        told(command, answer, spoutgen)
    assert server.head("spoutmarker", "marker")["/mymark"] == PYRAMIDS[1]


def test_every_command_in_the_pages_is_one_that_there_is():
    from spoutgen.cli.main import VERBS

    for page in ("tutorial/to-a-cluster.md", "how-to/move-from-1-to-2.md", "how-to/rewind.md", "reference/clusters.md"):
        for verb in re.findall(r"(?:^\s*\$?\s*|`)spoutgen ([a-z]+)", (DOCS / page).read_text(), re.MULTILINE):
            assert verb in VERBS, (page, verb)
