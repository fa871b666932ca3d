"""Runs one module of CPython's tests, and records how each test ended.

`test_cpython.py` starts this script in a new process, because modules keep what they have imported.
"""

import argparse
import importlib
import re
import signal
import sys
import unittest
from types import ModuleType

from unittest_record import Record, tests_in


def check_in_place(contextvars: ModuleType) -> None:
    """Check that all modules use the expected context variables, and that asyncio in C is there."""
    import _asyncio
    import _pydecimal
    import asyncio

    for name, module in list(sys.modules.items()):
        assert vars(module).get("contextvars", contextvars) is contextvars, name
    assert asyncio.events.contextvars.copy_context is contextvars.copy_context
    assert type(_pydecimal._current_context_var) is contextvars.ContextVar
    assert asyncio.Task is _asyncio.Task
    assert asyncio.Future is _asyncio.Future


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contextvars", help="the module that the tests find as contextvars")
    parser.add_argument("module", help="the module of tests")
    parser.add_argument("record", type=argparse.FileType("w"), help="the file to write")
    parser.add_argument("--classes", default=".*", help="pattern of the test classes to run")
    parser.add_argument("--only", help="the id of the one test to run")
    parser.add_argument("--without", nargs="*", default=[], help="ids of tests not to run")
    parser.add_argument(
        "--facades",
        action="store_true",
        help="leave `ctxvars.Context` the class it is without `run`",
    )
    options = parser.parse_args()

    # A shell without job control lets background jobs ignore interrupts. Tests of interrupts would
    # then never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    # Modules that have imported it before would keep it.
    assert "contextvars" not in sys.modules
    contextvars = importlib.import_module(options.contextvars)
    if options.contextvars != "contextvars" and not options.facades:
        importlib.import_module("ctxvars._cli.shim").install()
    sys.modules["contextvars"] = contextvars

    suite = unittest.defaultTestLoader.loadTestsFromName(options.module)
    check_in_place(contextvars)
    chosen = [
        test
        for test in tests_in(suite)
        if re.fullmatch(options.classes, type(test).__name__)
        and options.only in (None, test.id())
        and test.id() not in options.without
    ]
    with options.record as file:
        unittest.TestSuite(chosen).run(Record(file))
    check_in_place(contextvars)


if __name__ == "__main__":
    main()
