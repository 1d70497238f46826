"""Results as text, JSON and JUnit XML."""

import json
from xml.etree import ElementTree

from spoutgen.conformance import report
from spoutgen.conformance.outcome import Result

OK = Result("replay", "a range is read again to the same bytes", "ok", 0.25, note="7 ranges")
FAILED = Result(
    *("resume", "it resumes exactly after any record", "failed", 1.0),
    expected="record 3",
    found='record 4 <&"\x1b[31m',
    remedy="open(position) must make the next read start right after it, " * 3,
)
SKIPPED = Result("idle", "a read returns in time", "skipped", 0.0, note="no record")
ALL = [OK, FAILED, SKIPPED]


def test_one_line_a_check_and_the_facts_below_a_failed_one():
    assert report.as_line(OK, 8) == "ok      replay    a range is read again to the same bytes: 7 ranges (0.2 s)\n"
    assert report.as_line(SKIPPED, 8) == "skipped idle      a read returns in time: no record (0.0 s)\n"
    lines = report.as_line(FAILED, 8).splitlines()
    assert lines[0] == "FAILED  resume    it resumes exactly after any record (1.0 s)"
    assert lines[1] == "          expected: record 3"
    assert lines[2] == '          found:    record 4 <&"\\u001b[31m'
    assert lines[3].startswith("          to do:    open(position)")
    assert lines[4].startswith("                    ")
    assert all(len(line) <= 118 for line in lines)


def test_the_sum():
    assert report.summary(ALL) == "1 ok, 1 FAILED, 1 skipped, in 1.2 s"
    assert report.summary([OK]) == "1 ok, in 0.2 s"
    assert report.any_failed(ALL)
    assert not report.any_failed([OK, SKIPPED])


def test_json_has_every_fact():
    document = json.loads(report.as_json(ALL, "queue"))
    assert document["pipeline"] == "queue"
    assert document["outcome"] == "failed"
    assert [check["outcome"] for check in document["checks"]] == ["ok", "failed", "skipped"]
    assert document["checks"][1]["found"] == FAILED.found
    assert json.loads(report.as_json([OK], "queue"))["outcome"] == "ok"


def test_junit_is_xml_that_ci_servers_read():
    suite = ElementTree.fromstring(report.as_junit(ALL, "queue").encode()).find("testsuite")
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {
        **{"name": "spoutgen test queue", "tests": "3", "failures": "1", "errors": "0", "skipped": "1"},
        "time": "1.250",
    }
    cases = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("spoutgen.queue", "replay"),
        ("spoutgen.queue", "resume"),
        ("spoutgen.queue", "idle"),
    ]
    assert 'found: record 4 <&"\\u001b[31m' in cases[1].find("failure").text
    assert cases[2].find("skipped").get("message") == "no record"
