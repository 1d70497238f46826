"""`spoutgen check`: what it says of a source that is right, wrong, away, silent or broken; nothing secret in it."""

import json
import os
import socket
import time

import pytest

from spoutgen.cli.main import main

CANARY = "canary\\5ecret/ü"
SPEC = """
version: 1
name: aspout
image: aspout:v1
source: {type: custom, options: {mode: fine, port: 1}}
marker: mymark
secrets:
  - {name: db, key: password, env: DB_PASSWORD}
"""
PROBE = """

    def probe(self, position):
        secret = os.environ["DB_PASSWORD"]
        print("noise", secret, flush=True)
        mode = OPTIONS["mode"]
        if mode == "wrong":
            raise FatalError("source", found=f"no table for {secret}", expected="one", remedy="make the table")
        if mode == "away":
            socket.create_connection(("127.0.0.1", OPTIONS["port"]), timeout=20)
        if mode == "cut":
            raise OSError("x" * (995 - len(secret) // 2) + secret)
        if mode == "silent":
            OPTIONS["file"] and open(OPTIONS["file"], "w").write(str(os.getpid()))
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            while True:
                time.sleep(60)
        if mode == "broken":
            os._exit(5)
        if mode == "rows":
            return "many"
        return [("table " + secret, "3 rows"), ("lag", f"after {json.dumps(position)}")]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    (folder / "a.yaml").write_text(SPEC)
    assert main(["new", str(folder / "a.yaml"), "-o", str(folder / "aspout")]) == 0
    source = folder / "aspout" / "source.py"
    text = source.read_text().replace("import json\n", "import json\nimport os\nimport signal\nimport socket\n", 1)
    init = "        self._interval = float("
    text = text.replace(init, f"        OPTIONS.update(options)\n{init}", 1)
    source.write_text(text.replace("\n\nclass Source", "\nOPTIONS = {'file': ''}\n\n\nclass Source", 1) + PROBE)
    return folder / "aspout"


@pytest.fixture
def look(project, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DB_PASSWORD", CANARY)

    def run(*arguments, mode="fine", folder=project):
        status = main(["check", str(folder), "--set", f"source.options.mode={mode}", *arguments])
        out, err = capfd.readouterr()
        for shape in (CANARY, repr(CANARY)[1:-1], json.dumps(CANARY)[1:-1], "canary"):
            assert shape not in out + err
        return status, out, err

    return run


def test_what_it_found(look):
    assert look() == (0, "aspout: custom reached\n  table ***  3 rows\n  lag        after null\n", "")


def test_the_marker_of_the_local_cluster_is_where_the_lag_counts_from(look, project, capfd):
    assert main(["run", str(project), "--commits", "1", "--set", "batch.records=1"]) == 0
    capfd.readouterr()
    status, out, _ = look("--format", "json")
    found = json.loads(out)
    rows = {row["what"]: row["found"] for row in found.pop("rows")}
    assert (status, found) == (0, {"spout": "aspout", "source": "custom", "outcome": "found"})
    assert "writing up to" in rows["marker"]
    assert rows["lag"] in [f"after {at}" for at in ("null", *range(1, 100))]


def test_settings_that_are_wrong(look):
    status, _, err = look(mode="wrong")
    assert status == 1
    assert "SG801 custom: source: found no table for ***; expected one\n  hint: make the table\n" in err


def test_a_source_that_nobody_can_reach(look):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        status, _, err = look("--set", f"source.options.port={taken.getsockname()[1]}", mode="away")
    assert status == 3
    assert "SG802 custom: ConnectionRefusedError: " in err
    assert "hint: nothing answers at that address" in err


def test_a_host_that_nobody_knows_and_a_driver_s_long_story(look):
    status, out, err = look("--format", "json", mode="cut")
    found = json.loads(out)
    assert (status, err, found["code"], found["outcome"]) == (3, "", "SG802", "away")
    assert found["problem"].endswith("***...")
    assert found["fix"].startswith("see that the server is up")


def test_a_source_that_does_not_answer_is_killed(look, tmp_path):
    file = tmp_path / "pid"
    began = time.monotonic()
    status, _, err = look("--timeout", "2s", "--set", f"source.options.file={file}", mode="silent")
    assert status == 3
    assert "no answer within 2 s" in err
    assert time.monotonic() - began < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_check_that_breaks(look):
    status, _, err = look(mode="broken")
    assert status == 3
    assert "SG803 custom: the check ended with status 5: noise ***" in err


def test_a_probe_that_is_wrong(look):
    status, _, err = look(mode="rows")
    assert status == 1
    assert "probe() that returned str 'many'; expected a list of pairs" in err


@pytest.mark.parametrize("kind", ["symbol", "custom"])
def test_a_source_without_anything_to_look_at(look, kind, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "plain", "--set", f"source.type={kind}"]) == 0
    capfd.readouterr()
    assert main(["check", "plain"]) == 0
    assert capfd.readouterr().out.startswith(f"plain: {kind} has nothing outside to look at")


def test_a_driver_that_is_missing_is_no_wrong_setting(look, tmp_path, capfd):
    monkeyed = tmp_path / "plain"
    assert main(["new", "plain", "-o", str(monkeyed), "--set", "source.type=custom"]) == 0
    (monkeyed / "source.py").write_text("import nowhere_to_be_found\n")
    capfd.readouterr()
    assert main(["check", str(monkeyed)]) == 3
    assert "hint: add what it imports to requirements.txt" in capfd.readouterr().err


def test_a_runtime_of_before(look, tmp_path, capfd):
    assert main(["new", "plain", "-o", str(tmp_path / "plain")]) == 0
    (tmp_path / "plain" / "spout" / "check.py").unlink()
    capfd.readouterr()
    assert main(["check", str(tmp_path / "plain")]) == 1
    assert "hint: make the runtime anew: spoutgen update" in capfd.readouterr().err


def test_a_secret_that_is_missing(look, project, monkeypatch):
    monkeypatch.delenv("DB_PASSWORD")
    status, _, err = look()
    assert status == 3
    assert "SG505" in err


@pytest.mark.parametrize("time_given", ["0s", "2h", "soon"])
def test_a_timeout_is_a_time(look, time_given, capfd):
    with pytest.raises(SystemExit):
        look("--timeout", time_given)
    assert "--timeout" in capfd.readouterr().err
