"""What all tests share: golden files, compared or, with ``--update-golden``, written anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug, so no example has a deadline.
settings.register_profile("spoutgen", deadline=None)
settings.load_profile("spoutgen")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing them")


def pytest_configure(config: pytest.Config) -> None:
    # In CI nobody would look at the new files, and every test would pass.
    if config.getoption("--update-golden") and os.environ.get("CI", "").lower() in ("1", "true"):
        raise pytest.UsageError("--update-golden is for people, who read the difference; CI only compares")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """``golden(path, text)``: the file at ``path`` holds exactly ``text``."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text, "utf-8", newline="\n")
            return
        assert path.exists(), f"{path} is missing; --update-golden writes it"
        assert text == path.read_text("utf-8"), f"{path.name} differs; read it, then run with --update-golden"

    return compare


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With SPOUTGEN_REQUIRE_SERVICES=1, as in CI, a test that skips has failed: nothing may be left untested there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("SPOUTGEN_REQUIRE_SERVICES") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {report.longrepr}"
