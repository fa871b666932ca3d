"""The plugin is off unless an option switches it on, and imports only what it uses."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.entry_points import entry_points, install_entry_points
from tests.plugin.running import assert_passed, run_tests

LEAVES = """
import pytest
import ctxvars

user = ctxvars.ContextVar("user", default=None)


def test_one():
    user.set("one")


def test_two():
    assert user.get() == SEEN
"""


@pytest.mark.parametrize(
    ("ini", "options", "seen", "errors"),
    [
        ("", [], "one", 0),
        ("ctxvars = off", [], "one", 0),
        ("ctxvars = isolate", [], None, 0),
        ("ctxvars = check", [], None, 1),
        ("ctxvars = check", ["--ctxvars=off"], "one", 0),
        ("ctxvars = off", ["--ctxvars", "check"], None, 1),
    ],
)
def test_the_command_line_wins(
    tmp_path: Path, ini: str, options: list[str], seen: str | None, errors: int
) -> None:
    run = run_tests(tmp_path, *options, ini=ini, test_a=LEAVES.replace("SEEN", repr(seen)))
    assert run.outcomes == {"passed": 2} | ({"error": errors} if errors else {}), run.text


def test_a_mistake_in_the_option_is_an_error_of_usage(tmp_path: Path) -> None:
    run = run_tests(tmp_path, ini="ctxvars = on", test_a="def test_one(): pass")
    assert "ERROR: the option ctxvars is one of off, isolate, check, not 'on'" in run.text
    run = run_tests(tmp_path, "--ctxvars=on", ini="", test_a="def test_one(): pass")
    assert "argument --ctxvars: invalid choice: 'on'" in run.text


def test_the_header_of_the_report_shows_the_mode(tmp_path: Path) -> None:
    run = run_tests(tmp_path, test_a="def test_one(): pass")
    assert "\nctxvars: isolate\n" in run.text


@pytest.mark.parametrize("mode", ["off", "check"])
def test_modules_that_a_run_does_not_use_are_not_imported(tmp_path: Path, mode: str) -> None:
    unused = ["anyio", "trio", "hypothesis", "ctxvars._groups", "ctxvars._propagation"]
    if sys.version_info < (3, 14):
        # Later, pytest imports it by `pdb`.
        unused.append("asyncio")
    if mode == "off":
        unused += [f"ctxvars.pytest_plugin.{name}" for name in ("_hooks", "_override", "_leaks")]
    run = run_tests(
        tmp_path,
        ini=f"ctxvars = {mode}",
        test_a=f"""
import sys


def test_modules():
    assert [name for name in {unused} if name in sys.modules] == []
""",
    )
    assert_passed(run, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "environment", "is_on"),
    [
        ([], {}, True),
        (["-p", "no:ctxvars"], {}, False),
        ([], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, False),
        (["-p", "ctxvars"], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, True),
    ],
)
def test_the_entry_point_loads_the_plugin(
    tmp_path: Path, options: list[str], environment: dict[str, str], is_on: bool
) -> None:
    [(name, value)] = entry_points("pytest11").items()
    assert (name, value) == ("ctxvars", "ctxvars.pytest_plugin")
    install_entry_points(tmp_path, "pytest11")
    done = run_installed(tmp_path, "pytest", *options, "--fixtures", environment=environment)
    assert ("ctxvars_override" in done.stdout) == is_on, done.stdout + done.stderr


def run_installed(
    directory: Path, *command: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a module, with a distribution in this directory."""
    (directory / "tests").mkdir()
    (directory / "tests" / "test_a.py").write_text("def test_one(): pass\n", encoding="utf-8")
    paths = [str(directory), *filter(None, sys.path)]
    return contextvars.Context().run(
        subprocess.run,
        [sys.executable, "-m", *command, "-pno:cacheprovider"],
        cwd=directory / "tests",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_pytest_does_not_warn_that_ctxvars_is_imported_before_its_plugin(tmp_path: Path) -> None:
    """pytest would rewrite the assertions in all modules of the distribution."""
    install_entry_points(tmp_path, "pytest11")
    [metadata] = tmp_path.glob("*.dist-info")
    (metadata / "RECORD").write_text("ctxvars/__init__.py,,\n", encoding="utf-8")
    options = ["-p", "ctxvars", "-W", "error::pytest.PytestAssertRewriteWarning"]
    done = run_installed(
        tmp_path,
        *["ctxvars", "run", "-m", "pytest", *options],
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
