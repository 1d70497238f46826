"""``spoutgen run`` as a user meets it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from local_shell import PATIENCE, Shell
from processes import spouts_of

ID = "[0-9a-f]{32}"


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def script(project, text):
    """Another program in the place of the runtime."""
    (project / "main.py").write_text(f"import os, sys, tarfile, time\nPFS = os.environ['SPOUT_PFS_ROOT']\n{text}\n")


TAR = """
def tar(name, data):
    info = tarfile.TarInfo(name); info.size = len(data)
    out = os.open(PFS + "/out", os.O_RDWR)
    os.write(out, info.tobuf() + data + bytes(-len(data) % 512) + bytes(1024))
    return out
"""


def test_one_line_an_event_and_exactly_so_many_commits(shell):
    shell.new()
    lines = shell.lines("run", "dots", "--commits", "3")
    patterns = [
        r"dots: version 1, as on Pachyderm 1\.13\.4 \(G5\); Ctrl-C ends it",
        rf"dots: log {re.escape(str(shell.home))}/logs/dots\.log",
        r"dots: starts for the first time: there is no marker yet",
        *(
            pattern
            for marker, output in (("2", "2"), ("5", "3"), ("9", "4"))
            for pattern in (rf"dots: marker {ID} {marker}B", rf"dots: master {ID} {output}B")
        ),
        r'dots: ended; version 1, 3 commits in this run; marker mymark ends with "\.\.\."',
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), line
    assert shell.lines("local", "get", "file", "dots@marker:/mymark") == [".", "..", "..."]
    # Replayed and empty commits do not count, so it goes on by exactly that many lines.
    assert "dots: resumes from its marker" in shell.lines("run", "dots", "--commits", "2")
    assert len(shell.lines("local", "get", "file", "dots@marker:/mymark")) == 5


def test_the_project_stays_as_it_is(shell):
    project = shell.new()
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    shell.run("run", "dots", "--commits", "1")
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_for_a_while(shell):
    shell.new(interval="1h")
    assert "1 commit in this run" in shell.out("run", "dots", "--for", "1s")
    # Also where events come without a pause.
    shell.run("run", "dots", "--for", "500ms", "--set", "source.interval=1ms")


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_in_order(shell, signal_):
    shell.new()
    with shell.start("run", "dots") as run:
        run.wait_for("master")
        assert "running / starting" in shell.out("local", "list", "pipeline")
        assert run.end(signal_) == 0
    assert re.match(r"dots: ended; version 1, \d+ commits? in this run", run.lines[-1])
    assert spouts_of(shell.home) == []
    assert "paused / starting" in shell.out("local", "list", "pipeline")
    lines = len(shell.lines("local", "get", "file", "dots@marker:/mymark"))
    shell.run("run", "dots", "--commits", "2")
    pyramid = shell.lines("local", "get", "file", "dots@marker:/mymark")
    assert pyramid == ["." * n for n in range(1, len(pyramid) + 1)]
    assert lines < len(pyramid) <= lines + 2


def test_a_killed_run_takes_its_user_code_along(shell):
    shell.new()
    with shell.start("run", "dots") as run:
        run.wait_for("master")
        assert len(spouts_of(shell.home)) == 1
        run.end(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while spouts_of(shell.home):
        assert time.monotonic() < deadline
    assert "paused / starting" in shell.out("local", "list", "pipeline")


def test_a_second_run_is_refused(shell):
    shell.new()
    with shell.start("run", "dots") as run:
        run.wait_for("master")
        said = shell.refused("run", "dots", status=3)
        assert "SG501" in said
        assert f"in process {run.process.pid}" in said
        assert "SG501" in shell.refused("local", "delete", "pipeline", "dots", status=3)
        assert run.end() == 0


def test_a_pipeline_of_another_folder_is_refused_and_adopted_when_that_is_gone(shell):
    project = shell.new()
    shell.run("run", "dots", "--commits", "2")
    shell.new("other")
    said = shell.refused("run", "other", status=3)
    assert "SG504" in said
    assert str(project) in said
    project.rename(shell.folder / "moved")
    shell.run("run", "moved", "--commits", "1")
    assert len(shell.lines("local", "get", "file", "dots@marker:/mymark")) == 3
    assert str(shell.folder / "moved") in shell.out("local", "inspect", "pipeline", "dots")


def test_settings_for_one_run(shell):
    shell.new(interval="1h")
    shell.run("run", "dots", "--commits", "2", "--set", "source.interval=1ms", "--set", "source.symbol=[x]")
    shell.run(
        "run", "dots", "--commits", "2", "--set", "source.interval=1ms", "--set", "output.path=o2",
        "--set", "output.overwrite=false",
    )  # fmt: skip
    assert shell.lines("local", "get", "file", "dots@marker:/mymark") == ["[x]", "[x][x]", "[x][x]."]
    # Not overwritten: the line that was announced before is written again to the new file, and then the next.
    assert shell.lines("local", "get", "file", "dots@master:/o2") == ["[x][x]", "[x][x]."]
    (row,) = shell.lines("local", "list", "pipeline")[1:]
    assert row.split()[1] == "1"


@pytest.mark.parametrize("key", ["name", "marker", "image", "source.type", "env.A"])
def test_what_cannot_be_set_for_one_run(shell, key):
    shell.new()
    said = shell.refused("run", "dots", "--set", f"{key}=x", status=2)
    assert f"SG901 {key} cannot be set for one run" in said
    assert not shell.home.exists()


def test_a_wrong_setting_is_reported_as_in_the_spec(shell):
    shell.new()
    assert "source.interval" in shell.refused("run", "dots", "--set", "source.interval=soon")
    assert not shell.home.exists()


@pytest.mark.parametrize(
    "words", [("--commits", "0"), ("--commits", "x"), ("--for", "soon"), ("--pachyderm", "1.9.11")]
)
def test_wrong_options(shell, words):
    shell.new()
    assert words[1] in shell.refused("run", "dots", *words, status=2)


def test_a_folder_that_is_no_project(shell):
    assert "SG401" in shell.refused("run")
    assert "SG401" in shell.refused("run", "nowhere")


def test_a_spec_that_was_edited_is_to_be_carried_in_first(shell):
    shell.new()
    shell.run("set", "source.symbol=*", "dots")
    assert "SG403" in shell.refused("run", "dots")
    shell.run("update", "dots")
    assert "version 1," in shell.out("run", "dots", "--commits", "1")
    shell.run("set", "source.symbol=.", "dots")
    shell.run("update", "dots")
    assert "version 2," in shell.out("run", "dots", "--commits", "1")
    assert shell.lines("local", "get", "file", "dots@marker:/mymark") == ["*", "*."]


def test_failing_user_code_is_made_obvious(shell):
    script(shell.new(), "raise ValueError('no broker')")
    with shell.start("run", "dots") as run:
        first = run.wait_for("the user code ended")
        second = run.wait_for("for the 2. time")
        assert run.end() == 0
    assert (
        'dots: the user code ended with status 1; its last line: "ValueError: no broker"; it starts again in' in first
    )
    assert "ValueError: no broker" in second
    assert "Traceback (most recent call last):" in (shell.home / "logs/dots.log").read_text()


def test_user_code_that_ends_well_is_made_obvious(shell):
    script(shell.new(), "sys.exit(0)")
    with shell.start("run", "dots") as run:
        assert "is never run again, as on a cluster" in run.wait_for("ended with status 0")
        assert run.end() == 0


def test_a_wedge_is_made_obvious(shell):
    script(shell.new(), TAR + "out = tar('a@b', b'1')\ntime.sleep(600)")
    with shell.start("run", "dots") as run:
        said = run.wait_for("WEDGED")
        assert "globbing character (@)" in said
        assert "none of * ?" in said
        assert "globbing character" in shell.out("local", "inspect", "pipeline", "dots")
        assert run.end() == 0


def test_secrets_reach_the_user_code_and_nobody_else(tmp_path):
    token = 'hush "hush" \\ é'
    shell = Shell(tmp_path, API_TOKEN=token, AWS_SECRET_ACCESS_KEY="of-spoutgen-itself")
    project = shell.new(more="secrets: [{name: api, key: token, env: API_TOKEN}]")
    script(
        project,
        TAR
        + f"assert os.environ['API_TOKEN'] == {token!r}\n"
        + "import json\nprint('plain', os.environ['API_TOKEN'], flush=True)\n"
        + "print(json.dumps(dict(os.environ)), flush=True)\n"
        + "out = tar('output', str('AWS_SECRET_ACCESS_KEY' in os.environ).encode())\n"
        + "raise SystemExit(os.environ['API_TOKEN'])",
    )
    with shell.start("run", "dots") as run:
        run.wait_for("the user code ended")
        run.wait_for("master")
        run.end()
    said = "\n".join(run.lines) + (shell.home / "logs/dots.log").read_text()
    said += shell.out("local", "inspect", "pipeline", "dots", "--raw")
    assert "plain ***" in said
    assert "hush" not in said
    assert "of-spoutgen-itself" not in said
    assert shell.out("local", "get", "file", "dots@master:/output") == "False"
    store = b"".join(path.read_bytes() for path in shell.home.glob("store.db*"))
    assert token.encode() not in store


def test_a_missing_secret_is_named_before_anything_starts(shell):
    shell.new(more="secrets: [{name: api, key: token, env: API_TOKEN_X}]")
    said = shell.refused("run", "dots", status=3)
    assert "SG505" in said
    assert "API_TOKEN_X=... spoutgen run" in said
    assert not shell.home.exists()


def test_a_reader_that_goes_away_ends_it(shell):
    shell.new()
    run = subprocess.Popen(shell.command("run", "dots"), cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(PATIENCE) == 141
    assert spouts_of(shell.home) == []


def test_a_store_that_cannot_be_used(shell):
    shell.new()
    shell.home.mkdir()
    (shell.home / "store.db").write_bytes(b"not a database, but long enough to be one; " * 30)
    said = shell.refused("run", "dots", status=3)
    assert "SG503" in said
    assert str(shell.home / "store.db") in said
    shell.env["SPOUTGEN_HOME"] = str(shell.home / "store.db")
    assert "SG503" in shell.refused("run", "dots", status=3)


def test_the_live_view_on_a_terminal(shell):
    shell.new()
    ours, theirs = pty.openpty()
    env = {**shell.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    run = subprocess.Popen(shell.command("run", "dots"), cwd=shell.folder, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + PATIENCE
    while b"....." not in screen.split(b"mymark:")[-1]:
        assert time.monotonic() < deadline, screen
        if select.select([ours], [], [], 1)[0]:
            screen += os.read(ours, 65536)
    run.send_signal(signal.SIGINT)
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        screen += piece
    os.close(ours)
    assert run.wait(PATIENCE) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.decode())
    assert re.search(r"dots version 1  running  \d+ commits in this run", text)
    assert re.search(rf"master +{ID} +\d+B +Less than a second ago", text)
    assert "dots: ended; version 1" in text


def test_the_stored_spec_is_that_of_the_project(shell):
    project = shell.new()
    shell.run("run", "dots", "--commits", "1", "--set", "source.symbol=x")
    stored = json.loads(shell.out("local", "inspect", "pipeline", "dots", "--raw"))
    expected = json.loads((project / "pipeline.json").read_text())
    assert {key: stored[key] for key in expected} == expected
