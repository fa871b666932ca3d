"""OpenTelemetry's tests end on the runtime context of ctxvars as on its own.

Each suite runs twice, the second time with OTEL_PYTHON_CONTEXT=ctxvars.
"""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.foreign.endings import RUNNERS, Difference, Endings, Outcome, compare, exit_status, read
from tests.foreign.sdist import download, unpack
from tests.integration.entry_points import install_entry_points

PACKAGE, VERSION = "opentelemetry_api", "1.45.2"
SHA256 = "d7b0008e21e5fd61cbe7a7f34ca3b6905a78ab677d9bc395e299359c75cda6b4"
# Other tests need the package opentelemetry-test-utils, or have nothing to do with contexts.
TESTS = [
    "tests/context",
    "tests/baggage",
    "tests/propagators",
    "tests/trace/propagation",
    "tests/trace/test_tracer.py",
]
SECONDS = 300

_OF_CONTEXT = "tests/context/test_contextvars_context.py::TestContextVarsContext"
DIFFERENCES = {
    f"{_OF_CONTEXT}::test_attach": Difference(
        ["failure: AssertionError"], "detaching again changes nothing, and logs no error"
    ),
    f"{_OF_CONTEXT}::test_detach_out_of_order": Difference(
        ["failure: AssertionError"],
        "a context that is detached first does not become current again, and later ones stay",
    ),
}


def run(sources: Path, runtime: str, record: Path, only: str | None) -> Endings:
    """Return how the tests end on one of the runtime contexts, or how one test ends."""
    command: list[str | Path] = [sys.executable, "-P", "-X", "faulthandler", "-m", "pytest"]
    command += ["-p", "opentelemetry_record", f"--record={record}", "-p", "no:cacheprovider"]
    command += TESTS if only is None else [only]
    left_out = ("PYTEST", "OTEL_")
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(left_out)}
    paths = [str(RUNNERS), str(record.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if runtime == "ctxvars":
        environment["OTEL_PYTHON_CONTEXT"] = runtime
    log = record.with_suffix(".log")
    code = exit_status(command, log, directory=sources, seconds=SECONDS, environment=environment)
    assert code in (0, 1), f"exit {code}: {log.read_text()[-3000:]}"
    endings = read(record)
    assert endings, f"no test ran: {log.read_text()[-3000:]}"
    return endings


def test_same_endings(outcome: Outcome, cache: Path, tmp_path: Path) -> None:
    outcome.suite, outcome.version = PACKAGE.replace("_", "-"), VERSION
    outcome.what = ", ".join(f"`{tests}`" for tests in TESTS)
    pytest.importorskip("opentelemetry.context", reason="opentelemetry-api is not installed")
    installed = metadata.version(outcome.suite)
    if installed != VERSION:
        pytest.skip(f"{outcome.suite} is version {installed}, the tests are those of {VERSION}")
    sources = unpack(download(PACKAGE, VERSION, SHA256, cache), "tests", tmp_path)
    install_entry_points(tmp_path, "opentelemetry_context")

    def run_both(only: str | None = None) -> tuple[Endings, Endings]:
        theirs = run(sources, "opentelemetry", tmp_path / "theirs", only)
        return theirs, run(sources, "ctxvars", tmp_path / "ours", only)

    theirs, ours = run_both()
    compare(outcome, theirs, ours, DIFFERENCES, run_both)
    assert not outcome.surprises
