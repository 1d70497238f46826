"""Filter, transform.py, envelope and dead letters together, on `spoutgen run`; and a batch that is written again."""

import base64
import json
import signal
import time

import pytest
from local_shell import PATIENCE, Shell

LAST = 40
SPEC = f"""
version: 1
name: refined
image: refined:v1
source: {{type: custom, options: {{last: {LAST}}}}}
marker: mymark
transform: true
filter:
  include: [{{pointer: /day, equals: weekday}}]
  exclude: [{{pointer: /value/n, in: [11, 12]}}]
output:
  path: "data/{{date}}/{{key}}/{{first}}-{{last}}"
  envelope: json
  on_error: dead_letter
  dead_letters: dead/{{first}}-{{last}}
batch: {{records: 10, wait: 100ms}}
"""
SOURCE = """
import json, time
from spout.records import Record

class Source:
    identity, needs_ack = "finite", False

    def __init__(self, options):
        self.last = options["last"]

    def open(self, position):
        self.at = position or 0

    def read(self, limit, timeout):
        first, until = self.at + 1, min(limit.until or self.last, self.at + limit.records)
        if first > until:
            time.sleep(timeout)
        self.at = max(self.at, until)
        return [self.record(n) for n in range(first, until + 1)]

    def record(self, n):
        data = b"{broken" if n % 7 == 0 else b"\\xff" if n == 8 else json.dumps({"n": n}, indent=1).encode()
        facts = {"key": None if n % 2 else "even/key", "day": "sunday" if n % 10 == 0 else "weekday"}
        if n != 9:
            facts["time"] = 1767225600.123 + 3600 * n
        return Record(data, n, f"{n:03}", facts=facts)

    def ack(self, position): pass
    def close(self): pass
"""
TRANSFORM = """
import json

def transform(record):
    if not record.data.startswith(b"{"):
        return record
    n = json.loads(record.data)["n"]
    if n % 3 == 0:
        return None
    return [record, record._replace(data=b"[%d]" % n)] if n % 4 == 0 else record
"""


def expected():
    """(the values of the files in order of their records, the reasons of the dead letters by record)."""
    values, dead = [], {}
    for n in range(1, LAST + 1):
        if n % 10 == 0 or n in (11, 12):
            continue
        if n % 7 == 0:
            dead[f"{n:03}"] = "transform.py: JSONDecodeError"
        elif n == 8:
            dead["008"] = "its value is no JSON"
        elif n % 3 == 0:
            continue  # 9, the one without a time, is among them
        else:
            values += [{"n": n}, [n]] if n % 4 == 0 else [{"n": n}]
    return values, dead


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    shell.run("new", "spec.yaml", "-o", "refined")
    (tmp_path / "refined/source.py").write_text(SOURCE)
    (tmp_path / "refined/transform.py").write_text(TRANSFORM)
    return shell


def events(shell):
    log = shell.home / "logs" / "refined.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def wait_for(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def files(shell, folder=""):
    """Every file of the branch master, by its path."""
    found = {}
    for line in shell.lines("local", "list", "file", f"refined@master:/{folder}")[1:]:
        path, kind = line.split()[:2]
        if kind == "dir":
            found |= files(shell, path.strip("/") + "/")
        else:
            found[path.lstrip("/")] = shell.out("local", "get", "file", f"refined@master:{path}")
    return found


def test_the_files_are_what_the_spec_makes_of_the_records_kills_and_replays_or_not(shell):
    with shell.start("run", "refined") as running:
        running.wait_for("refined: master ")
        running.end(signal.SIGKILL)
    with shell.start("run", "refined") as running:
        wait_for(lambda: any(event.get("last") == f"{LAST:03}" for event in events(shell)))
        # A commit that is open when the run ends is taken back.
        wait_for(lambda: "/dead/035-035" in shell.out("local", "list", "file", "refined@master:/dead"))
        running.end()
    made = files(shell)
    check(made)

    before = len(events(shell))
    with shell.start("run", "refined") as running:
        wait_for(lambda: any(event["event"] == "batch" for event in events(shell)[before:]))
        running.end()
    [resumed] = [event for event in events(shell)[before:] if event["event"] == "resumed"]
    assert json.loads(resumed["writing"]) == LAST  # the last batch was read and written again
    assert files(shell) == made


def check(made):
    values, dead = expected()
    lines = [
        json.loads(line)
        for path, text in made.items()
        if not path.startswith("dead/")
        for line in text.splitlines()
    ]  # fmt: skip
    lines.sort(key=lambda line: line["time"])
    assert [line["value"] for line in lines] == values
    assert lines[0] == {"key": None, "day": "weekday", "time": "2026-01-01T01:00:00.123Z", "value": {"n": 1}}
    folders = {path.rsplit("/", 1)[0] for path in made}
    assert folders == {"dead", *(f"data/2026-01-0{day}/{key}" for day in (1, 2) for key in ("%-", "even%2Fkey"))}
    letters = [json.loads(line) for path in made if path.startswith("dead/") for line in made[path].splitlines()]
    assert {letter["name"] for letter in letters} == set(dead)
    assert all(letter["reason"].startswith(dead[letter["name"]]) for letter in letters)
    assert {base64.b64decode(letter["value_base64"]) for letter in letters} == {b"{broken", b"\xff"}
    assert len(letters) == len(dead)


def test_fail_is_the_default_and_says_which_record(shell):
    shell.run("set", "output.on_error=fail", "refined")
    shell.run("update", "refined")
    with shell.start("run", "refined") as running:
        wait_for(lambda: any(event["event"] == "refused" for event in events(shell)))
        running.end()
    refused = next(event for event in events(shell) if event["event"] == "refused")
    assert refused["subject"] == "output"
    assert "record 007 that cannot be written" in refused["found"]
