"""A test that leaves variables changed fails, and the message says where they were set."""

from __future__ import annotations

from pathlib import Path

from tests.plugin.running import assert_passed, line_of, run_tests

CHECK = "ctxvars = check"
VARIABLES = """
import pytest
import ctxvars

user = ctxvars.ContextVar("user", default=None)
tenant = ctxvars.ContextVar("tenant", default=None)


class Request(ctxvars.Group):
    path: str = "/"
"""


def test_the_message_names_variables_files_lines_and_functions(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """

def log_in(name):
    user.set("someone else")
    user.set(name)


class Service:
    def handle(self):
        log_in("secret of Ada")
        Request.path = "/login"


def test_service():
    Service().handle()


def test_afterwards():
    assert (user.get(), Request.path) == (None, "/")
""",
    )
    assert run.outcomes == {"passed": 2, "error": 1}, run.text
    line = line_of(tmp_path, "user.set(name)")
    assert f"  'user', set at test_a.py:{line} in log_in\n" in run.text, run.text
    # The recorder sees that the group sets its variable, and not who assigns to the field.
    assert "  'test_a.Request.path', set" in run.text
    assert "_groups" not in run.text
    assert "secret of Ada" not in run.text.partition("ERRORS")[2]
    assert "ERROR test_a.py::test_service" in run.text


def test_a_variable_that_is_deleted_is_left_changed(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """

@pytest.fixture(scope="module")
def logged_in():
    user.set("Ada")


def test_log_out(logged_in):
    user.delete()


def test_afterwards(logged_in):
    assert user.get() == "Ada"
""",
    )
    assert run.outcomes == {"passed": 2, "error": 1}, run.text
    assert f"'user', deleted at test_a.py:{line_of(tmp_path, 'delete')} in test_log_out" in run.text


def test_tests_that_restore_variables_pass(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """
from unittest import mock

made = ctxvars.ContextVar("made", default_factory=list)


@pytest.fixture
def logged_in():
    token = user.set("Ada")
    yield
    user.reset(token)


def test_scope(logged_in):
    with user.scope("Eve"), Request(path="/logout"):
        pass


def test_reset(logged_in):
    user.reset(user.set("Eve"))


def test_patches(monkeypatch):
    monkeypatch.setattr(Request, "path", "/patched")
    with mock.patch.object(Request, "path", "/patched again"):
        assert Request.path == "/patched again"
    assert Request.path == "/patched"


def test_override(ctxvars_override):
    ctxvars_override(user, "Eve")
    ctxvars_override(Request(path="/overridden"))


def test_fixture_that_is_requested_late(request):
    request.getfixturevalue("logged_in")
    assert user.get() == "Ada"


def test_default_of_a_factory():
    assert made.get() == []


def test_another_context():
    ctxvars.copy_context().run(user.set, "Eve")
""",
    )
    assert_passed(run, 7)


def test_a_test_that_fails_or_is_skipped_is_not_checked(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """
import unittest


def test_failing():
    user.set("Ada")
    raise ValueError


def test_skipped():
    user.set("Ada")
    pytest.skip()


class TestUnittest(unittest.TestCase):
    def test_failing(self):
        user.set("Ada")
        raise ValueError


def test_afterwards():
    assert user.get() is None
""",
    )
    assert run.outcomes == {"passed": 1, "failed": 2, "skipped": 1}, run.text


def test_a_marker_chooses_the_check_for_a_test(tmp_path: Path) -> None:
    module = (
        VARIABLES
        + """

@pytest.mark.ctxvars("isolate")
def test_isolate():
    user.set("Ada")


@pytest.mark.ctxvars("check")
def test_check():
    assert user.get() is None
    user.set("Ada")


def test_the_option():
    assert user.get() is None
    user.set("Ada")


@pytest.mark.ctxvars("chekc")
def test_mistake():
    pass
"""
    )
    for mode, errors in [("isolate", 1), ("check", 2)]:
        run = run_tests(tmp_path, f"--ctxvars={mode}", "--strict-markers", ini="", test_a=module)
        assert run.outcomes == {"passed": 3, "failed": 1, "error": errors}, run.text
        assert 'the marker is ctxvars("isolate") or ctxvars("check")' in run.text


def test_a_recording_that_is_on_is_used_and_stays_on(tmp_path: Path) -> None:
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """
from ctxvars import _core


@pytest.fixture(scope="module")
def recording():
    _core.start_recording(100, False)
    yield
    assert "user" in [event[2].name for event in _core.recorded_events() if event[2] is not None]
    _core.stop_recording()


def test_one(recording):
    user.set(1)


def test_two(recording):
    assert _core.is_recording()


def test_three():
    assert _core.is_recording()
""",
    )
    assert run.outcomes == {"passed": 3, "error": 1}, run.text
    assert f"'user', set at test_a.py:{line_of(tmp_path, 'user.set')} in test_one" in run.text


def test_a_variable_set_by_many_sets_is_named(tmp_path: Path) -> None:
    """The recorder has lost the place where the first variable was set."""
    run = run_tests(
        tmp_path,
        ini=CHECK,
        test_a=VARIABLES
        + """

def test_many():
    user.set(0)
    for number in range(10_000):
        tenant.set(number)
""",
    )
    assert run.outcomes == {"passed": 1, "error": 1}, run.text
    assert f"'tenant', set at test_a.py:{line_of(tmp_path, 'tenant.set')} in test_many" in run.text
    assert "  'user', set\n" in run.text
