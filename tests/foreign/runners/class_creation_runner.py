"""Runs a module of CPython's tests with `builtins.__build_class__` or a replacement.

`test_class_creation.py` starts this script in a new process, as it replaces the function globally.
"""

import argparse
import builtins
import sys


class InPlace:
    """A function with the name of `builtins.__build_class__`, which occurs in some messages."""

    def __init__(self) -> None:
        self.__module__, self.__qualname__ = "builtins", "__build_class__"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build_class", choices=["builtins", "ctxvars.classes"])
    parser.add_argument("module", help="the module of tests")
    parser.add_argument("record", type=argparse.FileType("w"), help="the file to write")
    parser.add_argument("--only", help="the id of the one test to run")
    options = parser.parse_args()

    # It creates the classes of all modules that are imported from here on.
    assert "unittest" not in sys.modules
    if options.build_class == "ctxvars.classes":
        from ctxvars import _core

        # A static method is called without a Python function in between.
        InPlace.__call__ = staticmethod(_core.build_class)
        builtins.__build_class__ = InPlace()
    in_place = builtins.__build_class__

    import unittest

    from unittest_record import Record, tests_in

    suite = unittest.defaultTestLoader.loadTestsFromName(options.module)
    chosen = [test for test in tests_in(suite) if options.only in (None, test.id())]
    with options.record as file:
        unittest.TestSuite(chosen).run(Record(file))
    assert builtins.__build_class__ is in_place


if __name__ == "__main__":
    main()
