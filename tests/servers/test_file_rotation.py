"""A spout reads a log that is written and rotated while it is killed: not a line is lost, none comes twice."""

import os
import shutil
import subprocess

import pytest
from kill_story import ROOT, LocalSpout, Verdict, run_to_the_end, tell, wait_until

SPEC = """\
version: 1
name: logs
pachyderm: {target}
image: logs:v1
source: {{type: file, files: "{folder}/*.log"}}
marker: mymark
output: {{path: "lines/{{file}}/{{first}}"}}
batch: {{records: {records}, wait: 200ms}}
"""
LINES = 200_000
KILLS = 30
WAYS = (
    "create",
    "create\n  compress",
    "copytruncate",
    "copytruncate\n  compress",
    "create\n  dateext\n  dateformat -%Y%m%d-%s",
)


def lines(first, end):
    return [b"line %d of the log" % number for number in range(first, end)]


def append(path, wanted):
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in wanted))


def logrotate():
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        reason = "no logrotate: apt-get install logrotate"
        if os.environ.get("SPOUTGEN_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def rotate(program, folder, how):
    """One rotation, by Debian's own program."""
    config = folder.parent / "logrotate.conf"
    config.write_text(f"{folder}/*.log {{\n  su root root\n  rotate 100\n  missingok\n  {how}\n}}\n")
    config.chmod(0o600)
    folder.chmod(0o755)  # logrotate leaves a folder alone that others may write to
    command = [program, "--force", "--state", str(folder.parent / "logrotate.state"), str(config)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "logs"
    made.mkdir()
    return made


@pytest.mark.parametrize("target", [1, 2])
def test_killed_while_the_log_is_rotated(folder, tmp_path, target):
    program = logrotate()
    log = folder / "app.log"
    share = LINES // (KILLS + 1)
    append(log, lines(0, share))

    def write_and_rotate(number):
        if number % 3 == 0:
            rotate(program, folder, "create\n  compress\n  delaycompress")
        end = LINES if number == KILLS - 1 else share * (number + 2)
        append(log, lines(share * (number + 1), end))

    with LocalSpout(SPEC.format(folder=folder, records=2000, target=target), tmp_path, is_warm=True) as spout:
        verdict = tell(spout, lines(0, LINES), KILLS, seed=6, feed=write_and_rotate, longest_life=0.1)
        assert verdict == Verdict(kills=KILLS, lost=0, repeated=0, strange=0), spout.words()


@pytest.mark.parametrize("how", WAYS)
def test_every_way_of_logrotate_while_it_runs(folder, tmp_path, how):
    program = logrotate()
    log = folder / "app.log"
    with LocalSpout(SPEC.format(folder=folder, records=1000, target=1), tmp_path) as spout:
        append(log, lines(0, 500))
        spout.start()
        wait_until(lambda: spout.commits() > 0, "there is a commit")
        append(log, lines(500, 1000))
        rotate(program, folder, how)
        append(log, lines(1000, 3000))
        assert run_to_the_end(spout, lines(0, 3000)) == 0
        spout.stop()
        assert spout.lines() == dict.fromkeys(lines(0, 3000), 1)


def test_the_example(folder, tmp_path):
    spec = (ROOT / "examples" / "file" / "tail-logs.yaml").read_text().replace("/var/log/app", str(folder))
    append(folder / "web.log.1", lines(0, 1000))
    subprocess.run(["gzip", folder / "web.log.1"], check=True)
    append(folder / "web.log", lines(1000, 1500))
    with LocalSpout(spec, tmp_path) as spout:
        spout.start()
        assert run_to_the_end(spout, lines(0, 1500)) == 0
        spout.stop()
        files = spout.files()
        assert all(path.startswith("/lines/web.log/") for path in files)
        assert b"".join(files[path] for path in sorted(files)).splitlines() == lines(0, 1500)
