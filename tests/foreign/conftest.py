"""Collects the results of the comparisons: prints a table, and writes a file on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.foreign.endings import Outcome
from tests.foreign.summary import as_json, table

OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="a file for page.py, if all tests pass")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []


@pytest.fixture
def outcome(pytestconfig: pytest.Config) -> Outcome:
    """The result of this test about its suite. The test has to set the name of the suite first."""
    collected = Outcome(suite="")
    pytestconfig.stash[OUTCOMES].append(collected)
    return collected


@pytest.fixture(scope="session")
def cache(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of downloads."""
    kept = getattr(pytestconfig, "cache", None)
    return kept.mkdir("sdists") if kept else tmp_path_factory.mktemp("sdists")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    report = yield
    outcome = getattr(item, "funcargs", {}).get("outcome")
    if outcome and call.when == "call" and report.skipped:
        outcome.note = report.longrepr[2].removeprefix("Skipped: ")
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode
) -> None:
    config = terminalreporter.config
    outcomes = [outcome for outcome in config.stash[OUTCOMES] if outcome.suite]
    if not outcomes:
        return
    terminalreporter.write_line("")
    terminalreporter.write(table(outcomes))
    file = config.getoption("--outcomes")
    if file and exitstatus == pytest.ExitCode.OK:
        file.write_text(as_json(outcomes))
