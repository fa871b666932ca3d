"""The tests of packages that use `contextvars` end on ctxvars as on the original.

Each suite runs twice, the second time with `ctxvars.contextvars` in the place of `contextvars`, by
`python -m ctxvars run`. The endings of each test are compared, including subtests, and skips with
their reasons.
"""

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from tests.foreign.endings import Endings, Outcome, compare
from tests.foreign.packages import OURS, STDLIB, SUITES, Suite, run
from tests.foreign.sdist import download, unpack


def require(package: str, version: str | None = None) -> None:
    """Skip unless the package is installed; it may have no release for this interpreter."""
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install --group foreign")
    if version not in (None, installed):
        pytest.skip(f"{package} is version {installed}, the tests are those of {version}")


def run_both(
    suite: Suite, sources: Path, directory: Path, only: str | None = None
) -> tuple[Endings, Endings]:
    """Return the endings on the standard library, and those on ctxvars."""
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(run, suite, sources, STDLIB, directory / "theirs", only)
        ours = pool.submit(run, suite, sources, OURS, directory / "ours", only)
    return theirs.result(), ours.result()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.package)
def test_same_endings(suite: Suite, outcome: Outcome, cache: Path, tmp_path: Path) -> None:
    outcome.suite, outcome.version, outcome.what = suite.package, suite.version, suite.what
    require(suite.package, suite.version)
    for package in suite.needs:
        require(package)
    archive = download(suite.package, suite.version, suite.sha256, cache)
    sources = unpack(archive, suite.folder, tmp_path)

    theirs, ours = run_both(suite, sources, tmp_path)
    compare(outcome, theirs, ours, {}, lambda test: run_both(suite, sources, tmp_path, only=test))
    assert not outcome.surprises
