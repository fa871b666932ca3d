"""Records how each test of a suite of unittest ended.

The record has one JSON array per line: a test, how it ended, and the traceback if any.
"""

import json
import re
import unittest
from collections.abc import Iterator
from typing import Any, TextIO


class Record(unittest.TestResult):
    """Writes each ending at once, as the process may crash during the run."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self.file = file

    def write(self, test: Any, ending: str, error: Any = None) -> None:
        if error is not None:
            ending += f": {error[0].__name__}"
        traceback = error and self._exc_info_to_string(error, test)
        # The ending of a subtest is stored for its test, which can be run again.
        if hasattr(test, "test_case"):
            ending = f"{test._subDescription()} {ending}"
            test = test.test_case
        # Addresses and process ids differ from run to run.
        ending = re.sub(r" at 0x[0-9a-f]+|@test_\d+", "", ending)
        self.file.write(json.dumps([test.id(), ending, traceback]) + "\n")
        self.file.flush()

    def addSuccess(self, test: Any) -> None:
        self.write(test, "ok")

    def addError(self, test: Any, err: Any) -> None:
        self.write(test, "error", err)

    def addFailure(self, test: Any, err: Any) -> None:
        self.write(test, "failure", err)

    def addSkip(self, test: Any, reason: str) -> None:
        self.write(test, f"skip: {reason}")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.write(test, "expected failure", err)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.write(test, "unexpected success")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        self.write(subtest, "ok" if err is None else "failure", err)


def tests_in(suite: unittest.TestSuite) -> Iterator[Any]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_in(test)
        else:
            yield test
