"""Tests that others wrote for maps of theirs pass on `ctxvars.Map`; the exceptions are listed.

They are those of the package immutables, whose names of methods are ours, and CPython's own: of the
map inside `contextvars`, of the mapping protocol, of `dict` and its views, and of `frozendict`.
None of them is kept here: immutables is downloaded, and the others come with the interpreter.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from foreign_exceptions import EXCEPTIONS

RUNNER = Path(__file__).with_name("foreign_suite.py")

IMMUTABLES = "immutables-0.21"
SHA256 = "b55ffaf0449790242feb4c56ab799ea7af92801a0a43f9e2f4f8af2ab24dfc4a"

SECONDS_TO_DOWNLOAD = 120
SECONDS_PER_MODULE = 200

# The modules, and the classes of tests to run of each. Those of immutables exist twice, for its map
# in C too.
SUITES = [
    ("tests.test_map", "PyMapTest"),
    ("tests.test_none_keys", "PyMapNoneTest"),
    ("tests.test_pattern_matching", "PyMapTest"),
    ("tests.test_issue24", "Issue24PyTest"),
    ("test.test_context", "HamtTest"),
    ("mapping_protocol", ".*"),
    ("test.test_dictviews", "DictSetTest"),
    ("test.test_dict", "DictTest"),
]
if sys.version_info >= (3, 15):
    SUITES.append(("test.test_dict", "FrozenDict.*Tests"))

# These test `dict` by writing dicts down: each becomes a `Versions`.
DISPLAYS = {"DictSetTest", "DictTest"}


@pytest.fixture(scope="session")
def immutables(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the Python files of immutables and of its tests."""
    directory = tmp_path_factory.mktemp("immutables")
    name = f"{IMMUTABLES}.tar.gz"
    cache = getattr(pytestconfig, "cache", None)
    kept = (cache.mkdir("immutables") if cache else directory) / name
    if not kept.exists():
        # pip knows where from, checks the hash and asks for the metadata, but compiles nothing.
        wanted = directory / "wanted.txt"
        wanted.write_text(f"{IMMUTABLES.replace('-', '==')} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", "--no-deps"]
        command += ["--no-binary=immutables", "--requirement", wanted, "--dest", directory]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS_TO_DOWNLOAD,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{IMMUTABLES} cannot be downloaded: {error.stderr.strip()[-200:]}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"{IMMUTABLES} cannot be downloaded in {SECONDS_TO_DOWNLOAD} seconds")
        # The tests of several interpreters may share the cache, so the file appears there whole;
        # the directory may lie in another file system.
        part = Path(shutil.copy(directory / name, kept.with_name(f"{name}.{os.getpid()}")))
        part.replace(kept)
    with tarfile.open(kept) as archive:
        sources = [member for member in archive.getmembers() if member.name.endswith(".py")]
        archive.extractall(directory, sources, filter="data")
    return directory / IMMUTABLES


def run(directory: Path, *arguments: str | Path) -> tuple[dict[str, str], list[str]]:
    """How the tests ended, by their ids, and the tracebacks of those that failed."""
    record = directory / "record"
    # Some tests expect an order of strings, which in a map is the order of their hashes.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", RUNNER, record, *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_PER_MODULE,
        check=False,
    )
    endings: dict[str, str] = {}
    tracebacks = []
    for line in record.read_text().splitlines():
        test, ending, traceback = json.loads(line)
        # A test that has subtests ends as the first of them that did not pass; their parameters
        # stand before the ending.
        if endings.get(test, "ok") == "ok":
            endings[test] = ending.rpartition(") ")[2]
        if traceback:
            tracebacks.append(f"{test} ended as {ending}:\n{traceback}")
    log = done.stderr[-3000:]
    assert done.returncode == 0, f"exit {done.returncode}, last {list(endings)[-1:]}: {log}"
    return endings, tracebacks


@pytest.mark.parametrize(("module", "classes"), SUITES)
def test_foreign_tests_pass(
    module: str,
    classes: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options: list[str | Path] = []
    if module.startswith("tests."):
        options += ["--path", request.getfixturevalue("immutables")]
    else:
        pytest.importorskip("test.mapping_tests", reason="CPython's own tests are not installed")
    if classes in DISPLAYS:
        options.append("--without-dicts")

    endings, tracebacks = run(tmp_path, module, classes, *options)
    listed = {
        f"{test_class}.{test}": ending
        for test_class, tests in EXCEPTIONS.items()
        if re.fullmatch(f"{module}.{classes}", test_class)
        for test, (ending, _) in tests.items()
    }
    expected = {test: listed.get(test, "ok") for test in endings}
    differing = {
        test: ending
        for test, ending in endings.items()
        if ending != expected[test] and not ending.startswith("skip: ")
    }
    counts = Counter(ending.split(":")[0] for ending in endings.values())
    exceptions = len(listed.keys() & endings.keys())
    with capsys.disabled():
        print(f"\n{module}: {len(endings)} tests ({dict(counts)}), {exceptions} listed", end=" ")
    for traceback in tracebacks:
        print(traceback)
    assert "ok" in endings.values()
    assert not differing
