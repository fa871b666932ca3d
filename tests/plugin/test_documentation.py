"""The examples in docs/how-to/testing.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin.running import run_tests

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
MODULE = re.compile(r"^```py\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_run_and_the_message_is_as_shown(tmp_path: Path) -> None:
    pytest.importorskip("pytest_asyncio")
    page = PAGE.read_text(encoding="utf-8").partition("## A test sees values")[0]
    application = page.partition("```python\n")[2].partition("def test_greeting")[0]
    modules = {"application": application}
    for name, text in MODULE.findall(page):
        # The line that names the file counts: the message has the number of a line.
        modules[name] = modules.get(name, "") + f"# {name}.py\n{text}"
    assert set(modules) > {"conftest", "test_application", "test_override", "test_leak"}
    run = run_tests(
        tmp_path,
        plugins=("pytest_asyncio.plugin",),
        ini="ctxvars = check\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function",
        **modules,
    )
    # The test that sets the user and leaves it, and the test whose message the page shows.
    assert run.outcomes == {"passed": 5, "error": 2}, run.text
    message = page.partition("```text\n")[2].partition("```")[0].splitlines()[1:]
    assert "\n".join(message) in run.text
