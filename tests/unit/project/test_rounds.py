"""Rounds of edits by the user, by the template's authors and of the spec, each ended by an update: no line is lost.

A project of a few small files, so that a round is quick. SPOUTGEN_SOAK=1 plays 500 rounds.
"""

import json
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spoutgen.project.template
from spoutgen.project.create import create
from spoutgen.project.lock import FOLDER
from spoutgen.project.render import render
from spoutgen.project.template import Template
from spoutgen.project.tree import read_tree
from spoutgen.project.update import abort, update
from spoutgen.resources import template_dir
from spoutgen.spec import load_text

PROJECT = "{{cookiecutter.name}}"
SPEC = 'version: 1\nname: dots\nimage: dots:v1\nsource: {type: symbol, symbol: "."}\nmarker: mymark\n'
MARKS = (b"<<<<<<< yours", b"||||||| base", b"=======", b">>>>>>> new")
ROUNDS = 10
EXAMPLES = 50 if os.environ.get("SPOUTGEN_SOAK") else 5

WHICH, WHERE = st.integers(0, 9), st.integers(0, 12)
ACTIONS = st.tuples(
    st.sampled_from(
        [
            "insert",
            "insert",
            "cut",
            "delete",
            "crlf",
            "mode",
            "insert*",
            "insert*",
            "cut*",
            "delete*",
            "rename*",
            "add*",
            "spec",
        ]
    ),
    WHICH,
    WHERE,
)
ROUND = st.tuples(st.lists(ACTIONS, min_size=1, max_size=6), st.booleans())


class Story:
    """A project, its template, and the lines in it that are the user's."""

    def __init__(self, home: Path) -> None:
        self.template, self.project = home / "template", home / "dots"
        generated = self.template / PROJECT
        generated.mkdir(parents=True)
        (self.template / "cookiecutter.json").write_text('{"_copy_without_render": ["*.txt"]}')
        for name in ("spout.yaml", "pipeline.json"):
            shutil.copy(template_dir() / PROJECT / name, generated)
        for name in ("a.txt", "b.txt", "d/c.txt"):
            (generated / name).parent.mkdir(exist_ok=True)
            (generated / name).write_bytes(b"".join(b"%s %d\n" % (name.encode(), line) for line in range(8)))
        create(render(load_text(SPEC, "spout.yaml"), Template(self.template, str(self.template))), self.project)
        self.numbers = count()
        self.mine: set[bytes] = set()

    def act(self, kind: str, which: int, where: int) -> None:
        """One edit; with a star it is the template's."""
        root = self.template / PROJECT if kind.endswith("*") else self.project
        files = sorted(path for path in root.rglob("*.txt") if FOLDER not in path.parts)
        if kind == "spec":
            symbol = json.dumps(f"s{next(self.numbers)}")
            (self.project / "spout.yaml").write_text(SPEC.replace('"."', symbol))
        elif kind == "add*":
            (root / f"n{next(self.numbers)}.txt").write_bytes(b"".join(b"n%d\n" % next(self.numbers) for _ in range(5)))
        elif files:
            self.edit(kind, files[which % len(files)], where)

    def edit(self, kind: str, file: Path, where: int) -> None:
        lines = file.read_bytes().splitlines(keepends=True)
        at = where % (len(lines) + 1)
        match kind.removesuffix("*"):
            case "insert":
                token = f"{'theirs' if kind.endswith('*') else 'mine'} {next(self.numbers)}".encode()
                self.mine |= set() if kind.endswith("*") else {token}
                lines.insert(at, token + b"\n")
                file.write_bytes(b"".join(lines))
            case "cut":
                self.mine -= {line.strip() for line in lines[at : at + 2]} if not kind.endswith("*") else set()
                file.write_bytes(b"".join(lines[:at] + lines[at + 2 :]))
            case "delete":
                self.mine -= {line.strip() for line in lines} if not kind.endswith("*") else set()
                file.unlink()
            case "rename":
                file.rename(file.with_name(f"r{next(self.numbers)}.txt"))
            case "crlf":
                file.write_bytes(b"\r\n".join(file.read_bytes().splitlines()) + b"\r\n")
            case "mode":
                file.chmod(0o755)

    def update(self, undo: bool) -> None:
        """Update; conflicts are undone, or resolved by taking every line."""
        before = self.files()
        planned = update(self.project)
        self.check()
        if planned.conflicts and undo:
            abort(self.project)
            assert self.files() == before
        for path in planned.conflicts:
            file = self.project / path
            if not file.exists():
                continue  # of a renamed file whose update was undone
            lines = file.read_bytes().splitlines(keepends=True)
            file.write_bytes(b"".join(line for line in lines if line.strip() not in MARKS))
        if planned.conflicts and not undo:
            assert update(self.project).conflicts == ()
            assert update(self.project).news == ()
        self.check()

    def files(self):
        return {path: entry for path, entry in read_tree(self.project).items() if not path.startswith(FOLDER)}

    def check(self) -> None:
        there = {line.strip() for entry in self.files().values() for line in entry.data.splitlines()}
        assert self.mine <= there, self.mine - there


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(ROUND, min_size=ROUNDS, max_size=ROUNDS))
def test_no_line_of_the_users_is_lost_in_any_round(rounds):
    cached = spoutgen.project.template._read
    spoutgen.project.template._read = cached.__wrapped__  # a command reads its template once; here is one process
    try:
        with tempfile.TemporaryDirectory() as home:
            story = Story(Path(home))
            for actions, undo in rounds:
                for action in actions:
                    story.act(*action)
                story.update(undo)
    finally:
        spoutgen.project.template._read = cached
