"""`spoutgen new NAME --set source.type=TYPE` on a terminal asks for what the type requires, and for nothing else."""

import os
import pty
import subprocess
import sys

import pytest
import yaml
from local_shell import ROOT

from spoutgen.spec.schema import source_schema, source_types
from spoutgen.spec.starter import questions


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


def answers_to(kind):
    """What is typed for each question: the value in brackets is taken, where there is none the schema's example."""
    properties = source_schema(kind)["properties"]
    return {
        key: "" if first else str(properties[key.removeprefix("source.")]["examples"][0])
        for key, _, first in questions([("source.type", kind)])
    }


@pytest.mark.parametrize("kind", source_types())
def test_each_type_asks_for_what_it_requires(kind, tmp_path):
    wanted, asked = answers_to(kind), []

    def answer(prompt):
        asked.append(prompt.split(" (")[0])
        return wanted[asked[-1]] + "\n"

    status, said = on_a_terminal(tmp_path, ["new", "aspout", "--set", f"source.type={kind}"], answer)
    required = [f"source.{key}" for key in source_schema(kind)["required"] if key != "type"]
    assert (status, asked) == (0, required), said
    made = yaml.safe_load((tmp_path / "aspout" / "spout.yaml").read_text())
    assert made["source"]["type"] == kind
    assert {f"source.{key}" for key in made["source"]} >= set(required)


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
