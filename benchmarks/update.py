"""`update` beside `cruft update` and `copier update` on one template, and `plan --all` over 200 projects.

Each tool has a project of its own, and one line changes in each round: of the spec (ours alone), or of the template
(all three). What the others need around it, a commit or a tag, is not counted.
"""

import os
import re
import shutil
import statistics
import subprocess
from pathlib import Path

from commands import BIN, ROOT, SPOUTGEN, Row, ratio, row, seconds, workplace

PROJECTS = 200
ROUNDS = 7
MOST_MS = 4.0
GENERATED = "{{cookiecutter.name}}"


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    with workplace() as work:
        for who in ("AUTHOR", "COMMITTER"):
            os.environ.update({f"GIT_{who}_NAME": "b", f"GIT_{who}_EMAIL": "b@example.com"})
        ours = Ours(work)
        rows = beside(ours, "cruft", Cruft(work), 0.5)
        if shutil.which("copier", path=str(BIN)):
            rows += beside(ours, "copier", Copier(work), 0.2)
        else:
            rows.append(("update, one line", "no copier here: pip install '.[bench]'", "<= 0.2x copier", False))
        return [*rows, plan_of_many(work)]


def beside(ours: "Ours", name: str, theirs: "Cruft | Copier", target: float) -> list[Row]:
    """One line of the spec and one of the template, beside another tool's update of one line of its template."""
    return [
        row("update, one line of the spec", ratio(ours.update_of_the_spec, theirs.update, ROUNDS), name, target),
        row(
            "update, one line of the template", ratio(ours.update_of_the_template, theirs.update, ROUNDS), name, target
        ),
    ]


def git(folder: Path, *arguments: str) -> None:
    """Run git quietly."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def commit(folder: Path, message: str) -> None:
    """Everything in ``folder`` as one commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


def copy_of_template(folder: Path) -> Path:
    """Our template, to be edited."""
    return Path(shutil.copytree(ROOT / "cookiecutter-spout", folder, ignore=shutil.ignore_patterns("__pycache__")))


def change_a_line(dockerfile: Path, number: int) -> None:
    """Another value in one line of the template's Dockerfile."""
    text = re.sub(r"\nLABEL round=\d+", "", dockerfile.read_text())
    dockerfile.write_text(text.replace("\nWORKDIR", f"\nLABEL round={number}\nWORKDIR", 1))


class Ours:
    """A project of spoutgen's, made from a fork of the template."""

    def __init__(self, work: Path) -> None:
        self.template = copy_of_template(work / "for-us")
        self.project = work / "by-us"
        self.number = 0
        seconds([SPOUTGEN, "new", "spout.yaml", "-o", "by-us", "--template", "for-us"], cwd=work)

    def update(self) -> float:
        """One update, which has something to do."""
        before = (self.project / ".spoutgen/lock.json").read_bytes()
        spent = seconds([SPOUTGEN, "update"], cwd=self.project)
        assert (self.project / ".spoutgen/lock.json").read_bytes() != before
        return spent

    def update_of_the_spec(self) -> float:
        """After another interval in spout.yaml."""
        self.number += 1
        spec = self.project / "spout.yaml"
        spec.write_text(re.sub(r"interval: \w+", f"interval: {self.number}s", spec.read_text()))
        return self.update()

    def update_of_the_template(self) -> float:
        """After another line in the template."""
        self.number += 1
        change_a_line(self.template / GENERATED / "Dockerfile", self.number)
        return self.update()


class Cruft:
    """A project of cruft's."""

    def __init__(self, work: Path) -> None:
        self.template = copy_of_template(work / "for-cruft")
        git(self.template, "init", "-q")
        commit(self.template, "template")
        out = work / "by-cruft"
        seconds([str(BIN / "cruft"), "create", "--no-input", "--output-dir", str(out), str(self.template)])
        self.project = out / "spoutmarker"
        git(self.project, "init", "-q")
        commit(self.project, "new")
        self.number = 0

    def update(self) -> float:
        """After another line in the template."""
        self.number += 1
        change_a_line(self.template / GENERATED / "Dockerfile", self.number)
        commit(self.template, "next")
        spent = seconds([str(BIN / "cruft"), "update", "--skip-apply-ask"], cwd=self.project)
        assert f"round={self.number}" in (self.project / "Dockerfile").read_text()
        commit(self.project, "updated")
        return spent


class Copier:
    """A project of copier's; the template is ours, with copier's names for the variables."""

    def __init__(self, work: Path) -> None:
        self.template = copier_template(work / "for-copier")
        git(self.template, "init", "-q")
        commit(self.template, "template")
        git(self.template, "tag", "v0.0.0")
        self.project = work / "by-copier"
        seconds([str(BIN / "copier"), "copy", "--defaults", "--quiet", str(self.template), str(self.project)])
        git(self.project, "init", "-q")
        commit(self.project, "new")
        self.number = 0

    def update(self) -> float:
        """After another line in the template, which copier sees in a new tag only."""
        self.number += 1
        change_a_line(self.template / "Dockerfile.jinja", self.number)
        commit(self.template, "next")
        git(self.template, "tag", f"v0.0.{self.number}")
        spent = seconds([str(BIN / "copier"), "update", "--defaults", "--quiet"], cwd=self.project)
        assert f"round={self.number}" in (self.project / "Dockerfile").read_text()
        commit(self.project, "updated")
        return spent


def copier_template(folder: Path) -> Path:
    """Our template as one of copier's: the same files, those with Jinja under the suffix that copier renders."""
    source = ROOT / "cookiecutter-spout" / GENERATED
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".py"]:
        text = file.read_text().replace("cookiecutter._requirements", "[]").replace("cookiecutter.", "")
        file.rename(file.with_name(f"{file.name}.jinja")).write_text(text)
    variables = "name: spoutmarker\nimage: spoutmarker:v1\nsymbol: .\ninterval_seconds: '30'\nmarker: mymark\n"
    for file in ("spout.yaml.jinja", "pipeline.json.jinja"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("_spout_yaml", "false").replace("_pipeline_json", "false"))
    (folder / "copier.yml").write_text(variables)
    (folder / "{{ _copier_conf.answers_file }}.jinja").write_text("{{ _copier_answers|to_nice_yaml -}}\n")
    return folder


def plan_of_many(work: Path) -> Row:
    """`plan --all` over projects that have nothing to do; the start-up, measured with one project, is taken off."""
    many, one = work / "many", work / "one"
    seconds([SPOUTGEN, "new", "spout.yaml", "-o", "one/project"], cwd=work)
    for number in range(PROJECTS):
        shutil.copytree(one / "project", many / str(number))

    def plan(folder: Path) -> float:
        return seconds([SPOUTGEN, "plan", "--all", "--check", str(folder)])

    pairs = [(plan(many), plan(one)) for _ in range(6)][1:]
    each = statistics.median((all_of_them - single) / (PROJECTS - 1) for all_of_them, single in pairs) * 1000
    return f"plan --all, {PROJECTS} projects", f"{each:.2f} ms a project", f"<= {MOST_MS:g} ms", each <= MOST_MS
