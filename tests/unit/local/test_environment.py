"""What the user code is started with, and what must never be shown of it."""

import json
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spoutgen.errors import MachineError
from spoutgen.local.environment import Secrets, find_secrets, user_command, user_environment, working_folder
from spoutgen.local.generations import generation_of
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.spec import SecretRef, parse

NO_SECRETS = Secrets({})
SPEC = parse(
    {
        "pipeline": {"name": "dots"},
        "transform": {
            "cmd": ["python3", "/app/main.py", "/apple", "/app"],
            "env": {
                "PLAIN": "$HOME {{ x }}",
                "DOLLAR": "$$(PLAIN)",
                "REF": "<$(PPS_PIPELINE_NAME)>",
                "NONE": "$(NOPE) $$",
            },
        },
        "spout": {"marker": "mymark"},
    }
)


def environment(secrets=NO_SECRETS, spec=SPEC):
    now = datetime.now(timezone.utc)
    pipeline = Pipeline("dots", 1, spec, "abc", "/project", now, now, "running", "")
    own = {"PATH": "/bin", "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "no", "LANG": "C"}
    return user_environment(pipeline, generation_of("1.13.4"), Path("/home/run/dots/pfs"), secrets, own)


def test_only_what_a_container_would_have_is_handed_on():
    found = environment()
    assert "AWS_SECRET_ACCESS_KEY" not in found
    assert found["PATH"] == "/bin"
    assert found["PACH_NAMESPACE"] == "default"
    assert found["PACH_IN_WORKER"] == "true"
    assert (found["PPS_PIPELINE_NAME"], found["PPS_SPEC_COMMIT"]) == ("dots", "abc")
    assert found["SPOUT_PFS_ROOT"] == "/home/run/dots/pfs"


def test_values_are_expanded_as_kubernetes_does():
    found = environment()
    assert found["PLAIN"] == "$HOME {{ x }}"
    assert found["DOLLAR"] == "$(PLAIN)"
    assert found["REF"] == "<dots>"
    assert found["NONE"] == "$(NOPE) $"


def test_secrets_come_last():
    assert environment(Secrets({"PLAIN": "hidden"}))["PLAIN"] == "hidden"


def test_the_project_stands_for_app_and_this_python_for_python():
    project = Path("/my project")
    expected = [sys.executable, "/my project/main.py", "/apple", "/my project"]
    assert user_command(SPEC, project) == expected
    assert working_folder(SPEC, project) == project
    assert working_folder(replace(SPEC, working_dir="/app/sub"), project) == project / "sub"
    assert user_command(replace(SPEC, cmd=("/bin/sh", "-c", "x")), project) == ["/bin/sh", "-c", "x"]


def test_secrets_are_taken_from_variables_of_the_same_name(tmp_path):
    refs = [SecretRef("a", "TOKEN", None), SecretRef("b", None, str(tmp_path))]
    assert find_secrets(refs, {"TOKEN": "t", "OTHER": "o"}).values == {"TOKEN": "t"}


def test_all_missing_secrets_are_named(tmp_path):
    refs = [SecretRef("a", "TOKEN", None), SecretRef("b", None, str(tmp_path / "no"))]
    with pytest.raises(MachineError) as error:
        find_secrets(refs, {})
    assert [diagnostic.code for diagnostic in error.value.diagnostics] == ["SG505", "SG505"]
    assert "TOKEN=... spoutgen run" in error.value.diagnostics[0].hint


@pytest.mark.parametrize("value", ["s3cret", 'with "quotes" \\ and é', "line one\nline two\n", "it's"])
def test_values_are_masked_wherever_they_stand(value):
    secrets = Secrets({"A": value, "B": value[:3]})
    shown = [value, f"x{value}y", json.dumps({"k": value}), json.dumps(value, ensure_ascii=False), repr(value)]
    for text in (*shown, *value.splitlines()):
        masked = secrets.masked(text)
        assert "***" in masked
        for part in value.splitlines():
            assert part not in masked
            assert json.dumps(part)[1:-1] not in masked


def test_without_secrets_nothing_is_masked():
    assert Secrets({"EMPTY": ""}).masked("plain text") == "plain text"
