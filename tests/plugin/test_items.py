"""Tests of unittest, doctest and Hypothesis, and tests on several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.running import assert_passed, run_tests

VARIABLES = """
import pytest
import ctxvars

first = ctxvars.ContextVar("first", default=None)
second = ctxvars.ContextVar("second", default=None)
made = ctxvars.ContextVar("made", default_factory=list)
"""


def test_a_test_does_not_see_what_another_has_set(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
@pytest.fixture(scope="module")
def registry():
    made.get().append("fixture")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_set(number):
    assert first.get() is None
    first.set(number)


@pytest.mark.parametrize("number", [1, 2])
def test_default_of_a_factory(number):
    assert made.get() == []
    made.get().append(number)


@pytest.mark.parametrize("number", [1, 2])
def test_default_that_a_fixture_has_made(registry, number):
    assert made.get()[0] == "fixture"
""",
    )
    assert_passed(run, 7)


def test_test_cases_of_unittest(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
import asyncio
import unittest


@pytest.fixture
def value():
    first.set("fixture")


@pytest.mark.usefixtures("value")
class TestSync(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.token = second.set("class")

    @classmethod
    def tearDownClass(cls):
        second.reset(cls.token)

    def setUp(self):
        assert (first.get(), second.get()) == ("fixture", "class")
        first.set("setUp")
        self.addCleanup(second.reset, second.set("setUp"))

    def test_one(self):
        assert (first.get(), second.get()) == ("setUp", "setUp")

    def test_two(self):
        assert (first.get(), second.get()) == ("setUp", "setUp")


@pytest.mark.usefixtures("value")
class TestAsync(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        assert (first.get(), second.get()) == ("fixture", None)
        second.set("setUp")

    async def asyncSetUp(self):
        assert (first.get(), second.get()) == ("fixture", "setUp")

    async def test_one(self):
        assert await asyncio.create_task(self.both()) == ("fixture", "setUp")

    async def test_two(self):
        assert await asyncio.create_task(self.both()) == ("fixture", "setUp")

    async def both(self):
        return first.get(), second.get()


def test_afterwards():
    assert (first.get(), second.get()) == (None, None)
""",
    )
    assert_passed(run, 5)


def test_test_cases_that_leave_variables_fail(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini="ctxvars = check",
        test_a=VARIABLES
        + """
import unittest


class TestSync(unittest.TestCase):
    def test_leaves(self):
        first.set(1)

    def test_cleans(self):
        self.addCleanup(first.reset, first.set(1))


class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_leaves(self):
        first.set(1)

    async def test_cleans(self):
        async def reset(token):
            first.reset(token)

        self.addAsyncCleanup(reset, first.set(1))
""",
    )
    assert run.outcomes == {"passed": 4, "error": 2}, run.text
    assert "in TestSync.test_leaves" in run.text
    assert "in TestAsync.test_leaves" in run.text


def test_doctests(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        "--doctest-modules",
        ini="ctxvars = check",
        test_a=VARIABLES
        + '''
@pytest.fixture(autouse=True)
def value(doctest_namespace):
    doctest_namespace["first"] = first
    second.set("fixture")


def leaves():
    """
    >>> second.get()
    'fixture'
    >>> first.set(1).old_value is first.get()
    False
    """


def is_isolated():
    """
    >>> first.get()
    """
''',
    )
    assert run.outcomes == {"passed": 2, "error": 1}, run.text


def test_each_example_of_hypothesis_starts_clean(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini="ctxvars = check",
        test_a=VARIABLES
        + """
import unittest

from hypothesis import assume, given, settings, strategies as st

few = settings(max_examples=5, database=None)


@pytest.fixture(scope="module")
def value():
    second.set("fixture")


@few
@given(number=st.integers())
def test_leaves(value, number):
    assert (first.get(), second.get(), made.get()) == (None, "fixture", [])
    made.get().append(number)
    first.set(number)


@few
@given(number=st.integers())
def test_restores(value, number):
    with first.scope(number):
        assert first.get() == number


@few
@given(number=st.integers())
def test_rejects(value, number):
    assert first.get() is None
    token = first.set(number)
    assume(number % 2)
    first.reset(token)


class TestUnittest(unittest.TestCase):
    @few
    @given(number=st.integers())
    def test_one(self, number):
        assert made.get() == []
        made.get().append(number)
""",
    )
    assert run.outcomes == {"passed": 4, "error": 1}, run.text
    assert "in test_leaves" in run.text


def test_several_processes(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    run = run_tests(
        tmp_path,
        "--ctxvars=check",
        "-n2",
        plugins=("xdist.plugin",),
        ini="",
        test_a=VARIABLES
        + """
@pytest.fixture(scope="session")
def value():
    second.set("fixture")


@pytest.mark.parametrize("number", range(4))
def test_leaves(value, number):
    assert (first.get(), second.get()) == (None, "fixture")
    first.set(number)
""",
    )
    assert run.outcomes == {"passed": 4, "error": 4}, run.text
