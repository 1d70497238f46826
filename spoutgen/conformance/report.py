"""Results as text for people, as JSON for programs, and as JUnit XML for CI servers."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from spoutgen.conformance.outcome import Outcome, Result
from spoutgen.report import printable

_SHOWN: Mapping[Outcome, str] = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}
_WIDTH = 118


def as_line(result: Result, width: int) -> str:
    """One check in one line, and below it what a failed one expected, found, and recommends.

    ``width`` is that of the widest name.
    """
    seconds = f"{result.seconds:.1f} s"
    note = f": {printable(result.note)}" if result.note else ""
    lines = [f"{_SHOWN[result.outcome]:<7} {result.name:<{width}}  {result.title}{note} ({seconds})"]
    for label, text in (("expected", result.expected), ("found", result.found), ("to do", result.remedy)):
        if text:
            indent = " " * 10
            lines += textwrap.wrap(
                printable(text), _WIDTH, initial_indent=f"{indent}{label + ':':<10}", subsequent_indent=indent * 2
            )
    return "".join(f"{line}\n" for line in lines)


def summary(results: Sequence[Result]) -> str:
    """How many checks ended how, and what that means."""
    counts = Counter(result.outcome for result in results)
    seconds = sum(result.seconds for result in results)
    told = ", ".join(f"{counts[outcome]} {word}" for outcome, word in _SHOWN.items() if counts[outcome])
    return f"{told or 'nothing to check'}, in {seconds:.1f} s"


def as_json(results: Sequence[Result], pipeline: str) -> str:
    """``{"pipeline", "outcome", "checks": [{name, title, outcome, seconds, note, expected, found, remedy}]}``."""
    document = {
        "pipeline": pipeline,
        "outcome": "failed" if any_failed(results) else "ok",
        "checks": [asdict(result) for result in results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_junit(results: Sequence[Result], pipeline: str) -> str:
    """JUnit XML, as CI servers read it: one suite, a test case for each check."""
    from xml.etree import ElementTree

    counts = Counter(result.outcome for result in results)
    totals = {
        "tests": str(len(results)),
        "failures": str(counts["failed"]),
        "errors": "0",
        "skipped": str(counts["skipped"]),
        "time": f"{sum(result.seconds for result in results):.3f}",
    }
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(suites, "testsuite", {"name": f"spoutgen test {pipeline}", **totals})
    for result in results:
        facts = {"classname": f"spoutgen.{pipeline}", "name": result.name, "time": f"{result.seconds:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", facts)
        if result.outcome == "skipped":
            ElementTree.SubElement(case, "skipped", {"message": printable(result.note or "")})
        elif result.outcome == "failed":
            failure = ElementTree.SubElement(case, "failure", {"message": printable(f"{result.title}: {result.found}")})
            failure.text = "\n".join(
                f"{label}: {printable(text or '')}"
                for label, text in (("expected", result.expected), ("found", result.found), ("to do", result.remedy))
            )
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suites, "unicode")}\n'


def any_failed(results: Iterable[Result]) -> bool:
    """Whether a promise is broken."""
    return any(result.outcome == "failed" for result in results)
