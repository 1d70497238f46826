"""`spoutgen new NAME --set source.type=TYPE` on a terminal asks for what the type requires, and for nothing else."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from local_shell import ROOT

from spoutgen.spec.schema import source_schema, source_types


def on_a_terminal(folder, arguments, answer):
    """Run the command with a terminal; ``answer(prompt)`` for each line that has no end. (status, all that was said)"""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    command = [sys.executable, "-m", "spoutgen", *arguments]
    with subprocess.Popen(command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = asked = ""
        while True:
            try:
                more = os.read(ours, 4096).decode()
            except OSError:  # the last one with the terminal has ended
                break
            if not more:
                break
            said += more
            asked += more
            if asked.endswith(": "):
                os.write(ours, answer(asked.splitlines()[-1]).encode())
                asked = ""
        os.close(ours)
        return process.wait(), said.replace("\r\n", "\n")


# What a new spout of each type needs from whoever makes it, in the order in which it is asked for; in brackets what we
# have a value for, and so is not asked for without a terminal.
ASKED = {
    "custom": [],
    "file": ["files"],
    "kafka": ["servers", "topics"],
    "postgres": ["mode", "host", "database", "user", "table", "key"],
    "rabbitmq": ["mode", "host", "queue", "user", "[password_env]"],
    "symbol": ["[symbol]"],
}


def example(kind, option):
    value = source_schema(kind)["properties"][option]["examples"][0]
    return value if isinstance(value, str) else json.dumps(value)


def test_every_type_is_in_the_table():
    assert [*ASKED] == [*source_types()]


@pytest.mark.parametrize("kind", source_types())
def test_each_type_asks_for_what_it_requires(kind, tmp_path):
    asked = []

    def answer(prompt):
        asked.append(prompt.split(" (")[0].removeprefix("source."))
        offered = re.search(r" \[(.*)\]: $", prompt)
        if offered:
            asked[-1] = f"[{asked[-1]}]"
            return "\n"
        return example(kind, asked[-1]) + "\n"

    status, said = on_a_terminal(tmp_path, ["new", "aspout", "--set", f"source.type={kind}"], answer)
    assert (status, asked) == (0, ASKED[kind]), said
    made = yaml.safe_load((tmp_path / "aspout" / "spout.yaml").read_text())
    assert made["source"]["type"] == kind
    assert {*made["source"]} >= {option.strip("[]") for option in ASKED[kind]}


@pytest.mark.parametrize("kind", source_types())
def test_without_a_terminal_what_is_missing_is_named_with_a_command_line_that_works(kind, tmp_path):
    facts = [option for option in ASKED[kind] if not option.startswith("[")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments):
        command = [sys.executable, "-m", "spoutgen", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    first = run("new", "aspout", "--set", f"source.type={kind}")
    if facts:
        assert first.returncode == 1
        named = re.findall(r"^SG202 `source\.(\w+)` is missing: .", first.stderr, re.MULTILINE)
        # All that is known to be missing; what else depends on a value is in the command line.
        assert named
        assert named == facts[: len(named)]
        assert not (tmp_path / "aspout").exists()
        (line,) = re.findall(r"^  hint: with values of your own: spoutgen (.*)$", first.stderr, re.MULTILINE)
        first = run(*shlex.split(line))
    assert first.returncode == 0, first.stderr
    made = yaml.safe_load((tmp_path / "aspout" / "spout.yaml").read_text())["source"]
    shown = {option: source_schema(kind)["properties"][option]["examples"][0] for option in facts}
    assert {option: made[option] for option in facts} == shown


def test_all_that_is_wrong_is_told_at_once_and_no_secret_is_shown(tmp_path):
    command = [sys.executable, "-m", "spoutgen", "new", "aspout", "-o", "a folder"]
    given = ["source.type=kafka", "source.topics=5", "source.password=canary-1"]
    command += [word for setting in given for word in ("--set", setting)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines() if line.startswith("SG")] == ["SG202"]
    assert re.findall(r"^spout.yaml:.*(SG\d+)", done.stderr, re.MULTILINE) == ["SG203", "SG306"]
    assert "spoutgen new aspout --output 'a folder' --set source.type=kafka" in done.stderr
    assert "canary" not in done.stderr


def test_a_wrong_answer_is_told_and_asked_for_again(tmp_path):
    typed = iter(["nowhere\n", "\n", "kafka:9093\n", "orders\n", "[orders]\n"])
    status, said = on_a_terminal(tmp_path, ["new", "aspout", "--set", "source.type=kafka"], lambda _: next(typed))
    assert (status, next(typed, None)) == (0, None), said
    assert "SG204 `source.servers` must be host:port of one or more brokers" in said
    assert "SG203 `source.topics` must be a list of topics, such as [orders], not" in said
    made = yaml.safe_load((tmp_path / "aspout" / "spout.yaml").read_text())["source"]
    assert made == {"type": "kafka", "servers": "kafka:9093", "topics": ["orders"]}


def test_the_value_in_brackets_is_taken_by_return_and_another_one_is_typed(tmp_path):
    arguments = ["new", "aspout", "--set", "source.type=symbol"]
    for name, typed, symbol in (("one", "\n", "."), ("two", "*\n", "*")):
        status, said = on_a_terminal(tmp_path, [*arguments, "-o", name], lambda _, typed=typed: typed)
        assert status == 0
        assert " [.]: " in said
        assert yaml.safe_load((tmp_path / name / "spout.yaml").read_text())["source"]["symbol"] == symbol


@pytest.mark.parametrize(
    "arguments", [["new", "aspout"], ["new", "aspout", "--set", "source.type=symbol", "--set", "source.symbol=*"]]
)
def test_nothing_is_asked_where_nothing_is_missing(arguments, tmp_path):
    def answer(prompt):
        raise AssertionError(prompt)

    assert on_a_terminal(tmp_path, arguments, answer)[0] == 0


def test_who_does_not_answer_is_told_by_the_check_or_gets_the_first_value(tmp_path):
    status, _ = on_a_terminal(tmp_path, ["new", "aspout", "--set", "source.type=symbol"], lambda _: "\x04")
    assert status == 0
    assert yaml.safe_load((tmp_path / "aspout" / "spout.yaml").read_text())["source"]["symbol"] == "."
