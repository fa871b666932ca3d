"""Sync fixtures set variables for sync tests, and until their end only."""

from __future__ import annotations

from pathlib import Path

from tests.plugin.running import assert_passed, run_tests

VARIABLES = """
import contextvars
import pytest
import ctxvars

first = ctxvars.ContextVar("first", default=None)
second = ctxvars.ContextVar("second", default=None)
"""


def test_values_are_undone_at_the_end_of_each_scope(tmp_path: Path) -> None:
    scopes = ["function", "class", "module", "session"]
    fixtures = "".join(
        f"""
{scope}_variable = ctxvars.ContextVar("{scope}", default=None)


@pytest.fixture(scope="{scope}")
def of_{scope}():
    {scope}_variable.set(True)


"""
        for scope in scopes
    )
    values = "(function_variable.get(), class_variable.get(), module_variable.get(), \
session_variable.get())"
    run = run_tests(
        tmp_path,
        conftest=VARIABLES + fixtures,
        test_a=f"""
from conftest import *


class TestOne:
    def test_all(self, of_function, of_class, of_module, of_session):
        assert {values} == (True, True, True, True)

    def test_of_the_class(self):
        assert {values} == (None, True, True, True)


def test_of_the_module():
    assert {values} == (None, None, True, True)
""",
        test_b=f"""
from conftest import *


def test_of_the_session():
    assert {values} == (None, None, None, True)
""",
    )
    assert_passed(run, 4)


def test_a_fixture_that_outlives_an_earlier_one_keeps_its_values(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
@pytest.fixture
def short():
    token = first.set("short")
    yield
    first.reset(token)


@pytest.fixture(scope="module")
def long():
    first.set("long")
    yield
    assert first.get() == "long"


def test_both(short, request):
    assert first.get() == "short"
    request.getfixturevalue("long")
    assert first.get() == "long"


def test_long(long):
    assert first.get() == "long"
""",
        test_b="""
from test_a import first


def test_neither():
    assert first.get() is None
""",
    )
    assert_passed(run, 3)


def test_a_fixture_that_requests_another_one_owns_its_own_values_only(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
@pytest.fixture(scope="module")
def inner():
    second.set("inner")


@pytest.fixture
def outer(request):
    first.set("outer, before")
    request.getfixturevalue("inner")
    assert (first.get(), second.get()) == ("outer, before", "inner")
    first.set("outer")


def test_one(outer):
    assert (first.get(), second.get()) == ("outer", "inner")


def test_two(inner):
    assert (first.get(), second.get()) == (None, "inner")
""",
    )
    assert_passed(run, 2)


def test_each_parameter_of_a_fixture_is_undone_before_the_next(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
@pytest.fixture(scope="module", params=["x", "y"])
def param(request):
    assert first.get() is None
    first.set(request.param)
    return request.param


@pytest.mark.parametrize("number", [1, 2])
def test_param(param, number):
    assert first.get() == param
    first.set("the test's")
""",
    )
    assert_passed(run, 4)


def test_finalizers_reset_tokens_of_fixtures_and_tests(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini="ctxvars = check",
        test_a=VARIABLES
        + """
@pytest.fixture(scope="module")
def by_request(request):
    token = second.set("by_request")
    request.addfinalizer(lambda: second.reset(token))


@pytest.fixture
def login():
    tokens = []
    yield lambda name: tokens.append(first.set(name))
    for token in reversed(tokens):
        first.reset(token)


@pytest.mark.parametrize("name", ["Ada", "Eve"])
def test_login(name, by_request, login):
    login("Bob")
    login(name)
    assert (first.get(), second.get()) == (name, "by_request")


def test_afterwards():
    assert first.get() is None


def test_variables_of_the_standard_library_are_left_alone(by_request):
    variable = contextvars.ContextVar("variable")
    variable.set(1)
    assert variable.get() == 1
""",
    )
    assert_passed(run, 4)


def test_a_failing_fixture_leaves_nothing(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
@pytest.fixture
def failing():
    first.set(1)
    raise ValueError("cannot set up")


@pytest.fixture
def failing_at_the_end():
    second.set(1)
    yield
    raise ValueError("cannot tear down")


def test_setup(failing):
    pass


def test_teardown(failing_at_the_end):
    assert first.get() is None


def test_afterwards():
    assert (first.get(), second.get()) == (None, None)
""",
    )
    assert run.outcomes == {"passed": 2, "error": 2}, run.text


def test_setup_functions_and_methods_are_fixtures(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        test_a=VARIABLES
        + """
def setup_module():
    first.set("module")


class TestOne:
    def setup_class(cls):
        second.set("class")

    def setup_method(self):
        assert second.get() == "class"
        second.set("method")

    def test_one(self):
        assert (first.get(), second.get()) == ("module", "method")


def test_two():
    assert (first.get(), second.get()) == ("module", None)
""",
        test_b="""
from test_a import first


def test_three():
    assert first.get() is None
""",
    )
    assert_passed(run, 3)


def test_hooks_of_a_conftest_set_variables_for_one_test(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        conftest=VARIABLES
        + """
second.set("while collecting")
finished = []


def pytest_runtest_setup(item):
    assert first.get() is None
    first.set(item.name)


def pytest_runtest_logfinish():
    assert first.get() is None
    if not finished:
        second.set("between tests")
    finished.append(True)
""",
        test_a="""
from conftest import *


def test_one():
    assert (first.get(), second.get()) == ("test_one", "while collecting")


def test_two():
    assert (first.get(), second.get()) == ("test_two", "between tests")


@pytest.fixture
def skipping():
    pytest.skip()


def test_three(skipping):
    pass


def test_four():
    assert (first.get(), second.get()) == ("test_four", "between tests")
""",
    )
    assert run.outcomes == {"passed": 3, "skipped": 1}, run.text
