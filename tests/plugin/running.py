"""Runs pytest with the plugin in another process."""

from __future__ import annotations

import contextvars
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

OUTCOME = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed)s?")


class Run(NamedTuple):
    outcomes: dict[str, int]
    text: str


def run_tests(
    directory: Path,
    *options: str,
    plugins: tuple[str, ...] = (),
    ini: str = "ctxvars = isolate",
    conftest: str = "",
    **modules: str,
) -> Run:
    """Write test modules, each under its name, and run them."""
    (directory / "pytest.ini").write_text("[pytest]\n" + textwrap.dedent(ini), encoding="utf-8")
    for name, text in {"conftest": conftest, **modules}.items():
        (directory / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    # Only these plugins: loading the others takes longer than running the tests.
    loaded = [f"-p{name}" for name in ("ctxvars.pytest_plugin", "no:cacheprovider", *plugins)]
    done = contextvars.Context().run(
        subprocess.run,
        [sys.executable, "-Werror", "-m", "pytest", *loaded, *options],
        cwd=directory,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    text = done.stdout + done.stderr
    lines = done.stdout.splitlines() or [""]
    return Run({kind: int(count) for count, kind in OUTCOME.findall(lines[-1])}, text)


def assert_passed(run: Run, number: int) -> None:
    """Check that all tests have passed, and that these are as many."""
    assert run.outcomes == {"passed": number}, run.text


def line_of(directory: Path, text: str) -> int:
    """Return the number of the line of `test_a.py` that has this text."""
    lines = (directory / "test_a.py").read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if text in line]
    return number
