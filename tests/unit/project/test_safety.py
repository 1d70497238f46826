"""What an update means for a deployed spout: each case has a paragraph and commands that exist."""

import importlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from spoutgen.cli.main import VERBS
from spoutgen.errors import CODES
from spoutgen.project.difference import Facts, MarkerFact
from spoutgen.project.safety import consequences, fate

OLD = Facts(1, "spoutmarker", MarkerFact("mymark", False), "symbol", {})
PREFIX = replace(OLD, marker=MarkerFact("mymark", True))
LOG = replace(OLD, source="log", identity={"topic": "a"})

OLD_2 = replace(OLD, pachyderm=2, project="team")
PREFIX_2 = replace(OLD_2, marker=MarkerFact("mymark", True))
LOG_2 = replace(OLD_2, source="log", identity={"topic": "a"})

CASES = {
    "marker renamed": (OLD, replace(OLD, marker=MarkerFact("other", False)), "SG411", "never starts"),
    "prefix renamed": (PREFIX, replace(OLD, marker=MarkerFact("other", True)), "SG411", "index alone"),
    "prefix to name": (PREFIX, OLD, "SG411", "refuses a marker of the other form"),
    "name to another prefix": (OLD, replace(OLD, marker=MarkerFact("other", True)), "SG411", "never starts"),
    "marker removed": (OLD, replace(OLD, marker=None), "SG411", "no link to a marker"),
    "pipeline renamed": (OLD, replace(OLD, name="other"), "SG412", "copy the marker"),
    "pipeline with a signed marker renamed": (PREFIX, replace(PREFIX, name="other"), "SG412", "signed"),
    "source type changed": (OLD, LOG, "SG413", "no meaning"),
    "source identity changed": (LOG, replace(LOG, identity={"topic": "b"}), "SG413", "source.topic: a -> b"),
    "source identity given": (
        replace(LOG, identity={"identity": None}),
        replace(LOG, identity={"identity": "b"}),
        "SG413",
        "source.identity: (none) -> b",
    ),
    "target changed": (OLD, replace(OLD, pachyderm=2), "SG414", "begins without a marker"),
    "2: marker renamed": (OLD_2, replace(OLD_2, marker=MarkerFact("other", False)), "SG411", "in one commit"),
    "2: prefix to name": (PREFIX_2, OLD_2, "SG411", "The position in spoutmarker@master is an index and"),
    "2: prefix to another name": (
        PREFIX_2,
        replace(OLD_2, marker=MarkerFact("x", False)),
        "SG411",
        "only the old marker",
    ),
    "2: marker removed": (OLD_2, replace(OLD_2, marker=None), "SG411", "refuses its configuration"),
    "2: another branch": (OLD_2, replace(OLD_2, branch="other"), "SG411", "begin at the beginning there"),
    "2: pipeline renamed": (OLD_2, replace(OLD_2, name="other"), "SG412", "copy the marker"),
    "2: a signed one renamed": (PREFIX_2, replace(PREFIX_2, name="other"), "SG412", "signed"),
    "2: another project": (
        PREFIX_2,
        replace(PREFIX_2, project="b"),
        "SG412",
        "in another project: team/spoutmarker ->",
    ),
    "2: a project for the first time": (
        replace(OLD_2, project=None),
        OLD_2,
        "SG412",
        "Unless that is the project of pachctl's context",
    ),
    "2: source type changed": (OLD_2, LOG_2, "SG413", "the data stays"),
    "2: source identity changed": (LOG_2, replace(LOG_2, identity={"topic": "b"}), "SG413", "source.topic: a -> b"),
    "2: back to 1": (OLD_2, OLD, "SG414", "Pachyderm 2.x -> 1.x"),
    "everything changed": (OLD, Facts(2, "x", MarkerFact("y", True), "log", {"topic": "a"}), "SG414", "Stop the old"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_explained(case):
    old, new, code, words = CASES[case]
    (found,) = consequences(old, new, " my/project")
    assert found.code == code in CODES
    assert words in f"{found.what} {found.explanation}"
    assert found.commands
    assert not fate(old, new).is_kept


def test_nothing_is_said_where_the_spout_goes_on():
    for same in (OLD, PREFIX, LOG):
        assert list(consequences(same, same, "")) == []
        assert fate(same, same).is_kept
    log_by_prefix = replace(LOG, marker=MarkerFact("mymark", True))
    for old, new in ((OLD, PREFIX), (LOG, log_by_prefix), (log_by_prefix, LOG)):  # the runtime reads it as it is
        assert list(consequences(old, new, "")) == []
        assert fate(old, new).is_kept


@pytest.mark.parametrize("case", CASES)
def test_no_command_is_promised_that_does_not_exist(case):
    """Ours are verbs of ours with options of theirs; pachctl's are those of the 1.x reference."""
    pachctl = {"stop pipeline", "start pipeline", "create pipeline", "update pipeline", "get file", "put file"}
    old, new, *_ = CASES[case]
    (found,) = consequences(old, new, " my/project")
    for command in (part for line in found.commands for part in line.split(" && ")):
        words = shlex.split(command)
        if words[0] == "spoutgen":
            assert words[1] in VERBS
            importlib.import_module(f"spoutgen.cli.{'set_' if words[1] == 'set' else words[1]}")
            assert words[-1] == "my/project"
        else:
            assert words[0] == "pachctl"
            assert " ".join(words[1:3]) in pachctl


def test_1_x_does_not_care_for_the_output_branch():
    assert list(consequences(OLD, replace(OLD, branch="other"), "")) == []


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("2: ")])
def test_of_2_x_nothing_is_said_that_is_true_of_1_x_only(case):
    """No branch of markers, no `--reprocess` that drops anything; and pachctl is told the project."""
    (found,) = consequences(*CASES[case][:2], "")
    text = " ".join((found.explanation, *found.commands))
    for word in ("@marker", "worker", "--reprocess", "spout.marker", "pipeline.json -", "put file"):
        assert word not in text, found
    if CASES[case][0].project:
        assert all("--project team" in each for each in found.commands if each.startswith("pachctl"))


def test_to_start_over_on_2_x_is_done_while_it_is_stopped():
    (found,) = consequences(PREFIX_2, OLD_2, "")
    assert found.commands[-4:] == (
        "pachctl stop pipeline spoutmarker --project team",
        "spoutgen marker reset",
        "spoutgen deploy",
        "pachctl start pipeline spoutmarker --project team",
    )


def test_a_new_pipeline_is_made_with_the_old_one_s_marker():
    for case, place in (
        ("pipeline renamed", "@marker"),
        ("2: pipeline renamed", "@master"),
        ("target changed", "@marker"),
    ):
        (found,) = consequences(*CASES[case][:2], "")
        stop, save, deploy, *_ = found.commands
        assert stop.startswith("pachctl stop pipeline spoutmarker")
        saved = re.fullmatch(rf"pachctl get file spoutmarker{place}:/mymark( --project team)? > (\S+)", save)
        assert deploy == f"spoutgen deploy --marker {saved[2]}"


def test_a_marker_is_saved_to_a_file_before_it_is_put():
    (found,) = consequences(OLD, CASES["marker renamed"][1], "")
    stop, save, put, update, start = found.commands
    assert stop.startswith("pachctl stop")
    assert re.fullmatch(r"pachctl get file spoutmarker@marker:/mymark > (\S+)", save)[1] == put.split()[-1]
    assert put.startswith("pachctl put file -o spoutmarker@marker:/other -f ")
    assert (update, start) == ("pachctl update pipeline -f pipeline.json", "pachctl start pipeline spoutmarker")


def test_the_how_to_gives_the_same_commands():
    text = (Path(__file__).parents[3] / "docs/how-to/update-a-deployed-spout.md").read_text()
    (found,) = consequences(*CASES["marker renamed"][:2], "")
    assert "\n".join(found.commands) in text
    assert {code for code in CODES if code in ("SG410", "SG411", "SG412", "SG413", "SG414")} == set(
        re.findall(r"SG41[0-4]", text)
    )
