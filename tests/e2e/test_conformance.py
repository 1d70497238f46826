"""`spoutgen test` as a user types it: the example, new projects, what is broken, what is secret."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spoutgen.conformance.suite import CHECKS
from spoutgen.project.tree import read_tree

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/file-queue"
PATIENCE = 30.0


class Shell:
    """Runs the command in a folder with a local cluster of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir()
        self.env = {**os.environ, "SPOUTGEN_HOME": str(folder / "cluster"), "TMPDIR": str(folder / "tmp")}

    def run(self, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spoutgen", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def example(self, lines: int) -> list[object]:
        """The example's project, and the setting that lets it read a queue of so many lines."""
        self.run("new", EXAMPLE / "file-queue.yaml", "-o", "project")
        (self.folder / "project/source.py").write_text((EXAMPLE / "source.py").read_text())
        self.append(1, lines)
        return ["--set", f"source.options.path={self.folder / 'orders.log'}"]

    def append(self, first: int, last: int) -> None:
        with (self.folder / "orders.log").open("a") as queue:
            queue.writelines(f"order {number}\n" for number in range(first, last + 1))


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def test_the_example_passes_every_check_and_leaves_no_trace(shell):
    queue = shell.example(lines=3000)
    before = read_tree(shell.folder / "project")
    done = shell.run("test", "project", *queue)
    *checks, total = done.stdout.splitlines()
    assert [line.split()[:2] for line in checks] == [["ok", check.name] for check in CHECKS]
    assert "18 kills" in checks[-2]
    assert "10 kills" in checks[-1]
    assert total.startswith(f"filequeue: {len(CHECKS)} ok, in ")
    assert done.stderr == ""
    assert read_tree(shell.folder / "project") == before
    assert not list((shell.folder / "project").rglob("__pycache__"))
    assert not (shell.folder / "cluster").exists()
    assert not list((shell.folder / "tmp").iterdir())


def test_the_example_runs_and_goes_on(shell):
    queue = shell.example(lines=250)
    shell.run("run", "project", *queue, "--commits", "3", "--set", "batch.wait=50ms")
    shell.append(251, 300)
    shell.run("run", "project", *queue, "--commits", "1", "--set", "batch.wait=50ms")
    listed = shell.run("local", "list", "file", "filequeue@master:/orders").stdout.splitlines()[1:]
    files = [line.split()[0] for line in listed]
    found = "".join(shell.run("local", "get", "file", f"filequeue@master:{file}").stdout for file in files)
    assert found == (shell.folder / "orders.log").read_text()
    marker = json.loads(shell.run("local", "get", "file", "filequeue@marker:/mymark").stdout)
    assert marker["source"] == "custom:orders"
    assert marker["writing"] == len(found)


def test_the_symbol_project_survives_every_kill(shell):
    shell.run("new", "dots")
    done = shell.run("test", "dots", "--format", "junit", "--only", "kill-user-code", "--only", "kill-worker")
    suite = ElementTree.fromstring(done.stdout.encode()).find("testsuite")
    counts = [suite.get(name) for name in ("tests", "failures", "skipped")]
    assert counts == ["2", "0", "0"], done.stdout


def test_a_new_custom_project_is_a_source_that_works(shell):
    shell.run("new", "counter", "--set", "source.type=custom")
    done = shell.run("test", "counter", "--format", "json", "--only", "resume", "--only", "loads")
    assert json.loads(done.stdout)["outcome"] == "ok"
    assert [check["name"] for check in json.loads(done.stdout)["checks"]] == ["loads", "resume"]


def test_a_broken_source_is_told_and_ends_with_1(shell):
    queue = shell.example(lines=50)
    source = shell.folder / "project/source.py"
    source.write_text(source.read_text().replace("position=end,", "position=(end, 0),"))
    done = shell.run("test", "project", *queue, "--only", "positions", status=1)
    assert done.stdout.splitlines()[0].startswith("FAILED  positions       positions survive JSON and never go back")
    assert "found:    tuple (8, 0), which comes back from JSON as list [8, 0]" in done.stdout
    assert "to do:" in done.stdout


def test_what_it_says_holds_no_secret(shell):
    spec = shell.folder / "spout.yaml"
    spec.write_text(
        "version: 1\nname: secretive\nimage: a:v1\nmarker: mymark\nsource: {type: custom}\n"
        "secrets: [{name: api, key: token, env: API_TOKEN}]\n"
    )
    shell.run("new", "spout.yaml", "-o", "project")
    source = shell.folder / "project/source.py"
    leak = "        raise RuntimeError(__import__('os').environ['API_TOKEN'])\n        self._number = position or 0"
    source.write_text(source.read_text().replace("        self._number = position or 0", leak))
    shell.env["API_TOKEN"] = "not-to-be-seen"
    for form in ("text", "json", "junit"):
        done = shell.run("test", "project", "--format", form, "--only", "records", status=1)
        assert "RuntimeError: ***" in done.stdout
        assert "not-to-be-seen" not in done.stdout + done.stderr


def test_an_edit_that_is_not_carried_in_is_refused(shell):
    shell.run("new", "dots")
    assert "SG901 name cannot be set for one run" in shell.run("test", "dots", "--set", "name=a", status=2).stderr
    shell.run("set", "source.symbol=*", "dots")
    assert "SG403" in shell.run("test", "dots", status=1).stderr


def test_a_kill_of_the_kit_leaves_nobody_behind(shell):
    shell.run("new", "dots")
    command = [sys.executable, "-m", "spoutgen", "test", "dots", "--only", "kill-worker"]
    kit = subprocess.Popen(command, cwd=shell.folder, env=shell.env, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: any("main.py" in line for line in processes(shell.folder)))
    finally:
        kit.send_signal(signal.SIGKILL)
        kit.wait()
    wait_until(lambda: not processes(shell.folder))


def processes(folder: Path) -> list[str]:
    """The command lines of all processes that have this folder in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"={folder}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if line.strip()]


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
