"""Ten updates, by spoutgen, cruft and copier on the same template: who keeps the user's edit, and who says what.

`python benchmarks/update_scenarios.py` plays them and prints the table of docs/explanation/update.md. Needs git, and
cruft and copier beside this Python: pip install '.[bench]'.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commands import BIN, SPOUTGEN
from update import GENERATED, commit, copier_template, copy_of_template, git

MINE, NEW = "mine-and-nobody-elses", "from-the-new-template"
LINES = "".join(f"line {number}\n" for number in range(1, 10))
MARKS = ("<<<<<<<", ">>>>>>>")
TEXT, BINARY, OLD = "text.txt", "logo.bin", "old.txt"

Edit = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the user does in the project and the template's author in the template; then the project is updated."""

    name: str
    user: Edit
    author: Edit
    is_committed: bool = True
    is_in_git: bool = True
    is_repeated: bool = False


def replaced(file: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return edit


def written(file: str, data: bytes) -> Edit:
    return lambda folder: (folder / file).write_bytes(data) and None


def removed(file: str) -> Edit:
    return lambda folder: (folder / file).unlink()


def renamed(file: str, to: str) -> Edit:
    return lambda folder: (folder / file).rename(folder / to) and None


def nothing(folder: Path) -> None:
    pass


USER_LINE = replaced(TEXT, "line 2", f"line 2 {MINE}")
DELETION, RENAMING = removed(TEXT), renamed(OLD, "renamed.txt")
NEW_BINARY = written(BINARY, b"\0" + NEW.encode())
FAR, SAME = replaced(TEXT, "line 8", f"line 8 {NEW}"), replaced(TEXT, "line 2", f"line 2 {NEW}")
SCENARIOS = (
    Scenario("only the template changed", nothing, FAR),
    Scenario("both changed a file, in two places", USER_LINE, FAR),
    Scenario("both changed the same line", USER_LINE, SAME),
    Scenario("... and the update is run again, marks unresolved", USER_LINE, SAME, is_repeated=True),
    Scenario("you deleted a file, the template changed it", DELETION, FAR),
    Scenario("you changed a file, the template deleted it", replaced(OLD, "line 2", MINE), removed(OLD)),
    Scenario("you changed a file, the template renamed it", replaced(OLD, "line 2", MINE), RENAMING),
    Scenario(
        "both changed a binary file",
        written(BINARY, b"\0" + MINE.encode()),
        NEW_BINARY,
    ),
    Scenario("your edit is not committed", USER_LINE, FAR, is_committed=False),
    Scenario("the project is in no git repository", USER_LINE, FAR, is_in_git=False),
)


def with_files(generated: Path) -> None:
    """The files that the scenarios are about."""
    (generated / TEXT).write_text(LINES)
    (generated / OLD).write_text(LINES)
    (generated / BINARY).write_bytes(b"\0 at first")


class Tool:
    """One tool: how a template comes to be, a project of it, an update."""

    def __init__(self, name: str, update: list[str]) -> None:
        self.name = name
        self.update = update

    def template(self, work: Path) -> tuple[Path, Path]:
        """The template's folder, and the folder in it that becomes the project."""
        folder = copier_template(work / "template") if self.name == "copier" else copy_of_template(work / "template")
        generated = folder if self.name == "copier" else folder / GENERATED
        with_files(generated)
        if self.name != "spoutgen":
            git(folder, "init", "-q")
            commit(folder, "first")
            git(folder, "tag", "v1.0.0")
        return folder, generated

    def project(self, work: Path, template: Path) -> Path:
        """A new project."""
        commands = {
            "spoutgen": [SPOUTGEN, "new", "spoutmarker", "--template", str(template)],
            "cruft": [str(BIN / "cruft"), "create", "--no-input", str(template)],
            "copier": [str(BIN / "copier"), "copy", "--defaults", "--quiet", str(template), "spoutmarker"],
        }
        subprocess.run(commands[self.name], cwd=work, check=True, capture_output=True)
        return work / "spoutmarker"


TOOLS = (
    Tool("spoutgen", [SPOUTGEN, "update"]),
    Tool("cruft", [str(BIN / "cruft"), "update", "--skip-apply-ask"]),
    Tool("copier", [str(BIN / "copier"), "update", "--defaults"]),
)


def play(tool: Tool, scenario: Scenario) -> str:
    """One cell of the table: is the edit kept, has the new text come, the exit status, what is left to see."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        template, generated = tool.template(work)
        project = tool.project(work, template)
        if scenario.is_in_git:
            git(project, "init", "-q")
            commit(project, "new")
        scenario.user(project)
        if scenario.is_in_git and scenario.is_committed and scenario.user is not nothing:
            commit(project, "mine")
        scenario.author(generated)
        if tool.name != "spoutgen":
            commit(template, "next")
            git(template, "tag", "v1.0.1")
        done = run(tool, project)
        if scenario.is_repeated:
            commit(project, "as it is")
            replaced(TEXT, f"{NEW}", f"{NEW}-again")(generated)
            if tool.name != "spoutgen":
                commit(template, "again")
                git(template, "tag", "v1.0.2")
            done = run(tool, project)
        return verdict(scenario, project, done)


def run(tool: Tool, project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        tool.update, cwd=project, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def verdict(scenario: Scenario, project: Path, done: subprocess.CompletedProcess[str]) -> str:
    """What can be seen after the update, by looking only."""
    files = [file for file in project.rglob("*") if file.is_file() and not {".git", ".spoutgen"} & set(file.parts)]
    texts = {file.relative_to(project).as_posix(): file.read_bytes().decode(errors="replace") for file in files}
    facts = []
    if scenario.user is not nothing and scenario.user is not DELETION:
        facts.append(where(MINE, texts, "edit"))
    if scenario.user is DELETION:
        facts.append("came back" if TEXT in texts else "stays deleted")
    elif scenario.author in (FAR, SAME, NEW_BINARY):
        facts.append(where(NEW, texts, "new"))
    if scenario.author is RENAMING:
        facts.append("taken to its new name" if MINE in texts.get("renamed.txt", "") else "not in the renamed file")
    if any(mark in text for text in texts.values() for mark in MARKS):
        facts.append("conflict marks")
    words = " ".join(f"{done.stdout} {done.stderr}".split())
    named = [name for name in (TEXT, OLD, BINARY) if name in words]
    facts.append(f"exit {done.returncode}")
    facts.append(f"names `{named[0]}`" if named else "names no file")
    return "; ".join(facts)


def where(token: str, texts: dict[str, str], what: str) -> str:
    """In which files something is."""
    found = [path for path, text in texts.items() if token in text]
    proper = [path for path in found if not path.endswith((".rej", ".orig", ".new"))]
    if proper:
        return f"{what} there"
    return f"{what} only in `{found[0]}`" if found else f"**{what} not there**"


def main() -> int:
    """Play everything and print a Markdown table."""
    for who in ("AUTHOR", "COMMITTER"):
        os.environ.update({f"GIT_{who}_NAME": "b", f"GIT_{who}_EMAIL": "b@example.com"})
    print("| |", " | ".join(tool.name for tool in TOOLS), "|")
    print("|---" * (len(TOOLS) + 1) + "|")
    for scenario in SCENARIOS:
        print(f"| {scenario.name} |", " | ".join(play(tool, scenario) for tool in TOOLS), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
