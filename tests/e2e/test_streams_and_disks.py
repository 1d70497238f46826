"""The command where something is missing that it stands on: a stream, room on a disk, a name that fits, a file."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from local_shell import Shell


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def in_a_shell(shell, words, redirection):
    """Run ``spoutgen`` as a line of sh, so that a stream can be closed."""
    line = f"{shlex.join(shell.command(*words))} {redirection}"
    return subprocess.run(
        ["sh", "-c", line], cwd=shell.folder, env=shell.env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-"])
@pytest.mark.parametrize(
    ("words", "status"),
    [(["--help"], 0), (["nosuch"], 2), (["new", "dots"], 0), (["plan", "nosuch"], 1)],
)
def test_a_closed_stream_is_dev_null(shell, redirection, words, status):
    done = in_a_shell(shell, words, redirection)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_the_spout_runs_with_every_stream_closed(shell):
    shell.new()
    assert in_a_shell(shell, ["run", "dots", "--commits", "2"], "<&- >&- 2>&-").returncode == 0
    assert shell.out("local", "get", "file", "dots@marker:/mymark") == ".\n..\n"


@pytest.mark.parametrize("words", [["--help"], ["schema"], ["plan", "dots"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk_is_no_bug(shell, words, unbuffered):
    shell.new()
    shell.env["PYTHONUNBUFFERED"] = unbuffered
    done = in_a_shell(shell, words, ">/dev/full")
    assert done.returncode == 3
    said, hint = done.stderr.splitlines()
    assert said == "SG902 standard output or a temporary file cannot be written: No space left on device"
    assert hint.startswith("  hint: free some space")


def test_names_that_are_too_long_for_a_file(shell):
    name = "x" * 300
    assert "at most 50 characters" in shell.refused("new", name)
    assert f"{name}:1:1: SG101 File name too long" in shell.refused("validate", name)
    assert "SG4" in shell.refused("run", name)


def test_a_folder_whose_name_is_not_utf_8(shell):
    shell.new()
    folder = os.fsdecode(b"n\xff")
    (shell.folder / "dots").rename(shell.folder / folder)
    assert shell.out("plan", folder) == "nothing to do\n"
    assert "SG506 the local cluster cannot keep a folder's name that is not UTF-8" in shell.refused("run", folder)


def test_the_folder_of_a_pipeline_on_a_terminal_that_cannot_show_it(shell):
    shell.new("dött")
    shell.run("run", "dött", "--commits", "1")
    shell.env |= {"PYTHONIOENCODING": "ascii"}
    assert "d\\xf6tt" in shell.out("local", "inspect", "pipeline", "dots")


def test_what_to_do_next_is_a_line_for_the_shell(shell):
    (line,) = [line for line in shell.lines("new", "dots", "-o", "my dots") if line.startswith("next: ")]
    assert shlex.split(line) == ["next:", "spoutgen", "run", "my dots"]


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_pipeline_json_is_written_anew_by_the_hint(shell, damage):
    file = shell.new() / "pipeline.json"
    whole = file.read_text()
    file.unlink() if damage == "gone" else file.write_text(whole[:50])
    said = shell.refused("run", "dots")
    line = re.search(r"hint: write it anew: spoutgen (.*); or take it", said)[1]
    assert in_a_shell(shell, [], line).returncode == 0
    assert file.read_text() == whole


def test_a_project_without_its_spec(shell):
    (shell.new() / "spout.yaml").unlink()
    assert "take it from version control" in shell.refused("plan", "dots")


def test_slips_in_a_command_or_an_option(shell):
    assert "did you mean 'run'?" in shell.refused("rnu", status=2)
    assert "did you mean '--version'?" in shell.refused("--verison", status=2)


def test_python_sees_the_same_streams(shell):
    """The next file that is opened must not get the number of a stream that was closed."""
    program = "from spoutgen.cli.main import open_closed_streams as o; o(); import os; print(os.open('.', 0) > 2)"
    line = f"exec 0<&-; {shlex.join([sys.executable, '-c', program])}"
    done = subprocess.run(["sh", "-c", line], env=shell.env, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
