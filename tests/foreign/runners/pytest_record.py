"""A plugin of pytest that records how each test ended.

`packages.py` loads it in a new process, on the standard library or on ctxvars. The plugin also
checks that the tests have used the expected one. As in `unittest_record.py`, the record has one
JSON array per line: a test, how it ended, and the traceback if any.
"""

import importlib
import json
import os
import re
import sys
import threading
from collections.abc import Generator
from types import ModuleType
from typing import TextIO

import pytest

API = ("Context", "ContextVar", "Token", "copy_context")

# These may use the standard library: they import `_contextvars`, which is not replaced.
KEPT = re.compile(r"_?contextvars|threading|_py_warnings")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("record")
    group.addoption("--record", help="the file to write")
    group.addoption("--context-variables", help="the module that the tests find as contextvars")
    group.addoption("--holder", help="a module that must have imported something of it")


def pytest_configure(config: pytest.Config) -> None:
    record = Record(
        open(config.getoption("--record"), "w"),  # noqa: SIM115
        config.getoption("--context-variables"),
        config.getoption("--holder"),
    )
    config.pluginmanager.register(record)


def held_of(contextvars: ModuleType) -> set[int]:
    """The identities of the module and of its objects."""
    return {id(contextvars), *(id(getattr(contextvars, name)) for name in API)}


def holders(held: set[int]) -> set[str]:
    """The modules that have one of these objects, under any name."""
    return {
        name
        for name, module in list(sys.modules.items())
        if any(id(value) in held for value in list(getattr(module, "__dict__", {}).values()))
    }


class Record:
    """Writes each ending at once, as the process may crash during the run."""

    def __init__(self, file: TextIO, contextvars: str, holder: str) -> None:
        self.file = file
        self.contextvars = contextvars
        self.holder = holder

    def write(self, test: str, ending: str, traceback: str | None = None) -> None:
        # Addresses differ from run to run.
        ending = re.sub(r" at 0x[0-9a-f]+", "", ending)
        self.file.write(json.dumps([test, ending, traceback]) + "\n")
        self.file.flush()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        # Subtests are reported here, too, with their test.
        report = yield
        during = "" if call.when == "call" else f" in {call.when}"
        if report.failed:
            assert call.excinfo is not None
            assertions = (AssertionError, pytest.fail.Exception)
            kind = "failure" if issubclass(call.excinfo.type, assertions) else "error"
            ending = f"{kind}{during}: {call.excinfo.type.__name__}"
            self.write(item.nodeid, ending, report.longreprtext)
        elif hasattr(report, "wasxfail"):
            expected = "expected failure" if report.skipped else "unexpected success"
            self.write(item.nodeid, expected)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.write(item.nodeid, f"skip: {reason.removeprefix('Skipped: ')}")
        elif call.when == "call":
            self.write(item.nodeid, "ok")
        return report

    def check_in_place(self) -> None:
        """Check that all modules use the expected context variables."""
        contextvars = sys.modules["contextvars"]
        assert contextvars is sys.modules[self.contextvars], contextvars
        held = held_of(contextvars)
        assert self.holder in holders(held), f"{self.holder} does not use {contextvars}"
        package = self.contextvars.partition(".")[0]
        if package == "contextvars":
            assert "ctxvars" not in sys.modules
        else:
            # Contexts are the objects of the interpreter.
            native = holders(held_of(importlib.import_module("_contextvars")) - held)
            others = {
                name
                for name in native
                if name.partition(".")[0] != package and not KEPT.fullmatch(name)
            }
            assert not others, f"they use the standard library's: {others}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # pytest reports errors of collection itself.
        if not session.testsfailed:
            self.check_in_place()

    def pytest_runtest_logfinish(self) -> None:
        assert sys.modules["contextvars"] is sys.modules[self.contextvars]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self.file.close()
        # A failed test may leave a thread behind that would keep the process alive.
        others = [thread for thread in threading.enumerate() if not thread.daemon]
        if others != [threading.main_thread()]:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
