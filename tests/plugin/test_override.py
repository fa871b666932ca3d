"""`ctxvars_override` sets variables until the end of the test, whether the plugin is on or off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.running import assert_passed, run_tests

VARIABLES = """
import pytest
import ctxvars

user = ctxvars.ContextVar("user", default=None)
tenant = ctxvars.ContextVar("tenant", default=None)


class Request(ctxvars.Group):
    path: str = "/"
    agent: str = "none"


def values():
    return user.get(), tenant.get(), Request.path, Request.agent


NOTHING = (None, None, "/", "none")
"""
SYNC = """
@pytest.fixture
def logged_in():
    user.set("Ada")
    yield
    assert user.get() == "Ada"
    user.delete()


@pytest.fixture
def from_a_fixture(ctxvars_override):
    ctxvars_override(tenant, "from a fixture")


def test_variable(ctxvars_override):
    ctxvars_override(user, "Eve")
    assert values() == ("Eve", None, "/", "none")


def test_several_times(logged_in, ctxvars_override):
    ctxvars_override(user, "Eve")
    ctxvars_override(user, "Bob")
    assert user.get() == "Bob"


def test_mapping(ctxvars_override):
    ctxvars_override({user: "Eve", tenant: "ACME"})
    assert values() == ("Eve", "ACME", "/", "none")


def test_missing(logged_in, ctxvars_override):
    ctxvars_override(user, ctxvars.MISSING)
    assert not user.is_set()


def test_group(ctxvars_override):
    request = Request(path="/login")
    ctxvars_override(request)
    assert values() == (None, None, "/login", "none")


def test_fixture(from_a_fixture):
    assert values() == (None, "from a fixture", "/", "none")


@pytest.mark.parametrize("arguments", [(1, 2), (user,), ("user", "Eve"), ({"user": 1},)])
def test_other_arguments(ctxvars_override, arguments):
    with pytest.raises(TypeError):
        ctxvars_override(*arguments)


def test_afterwards():
    assert values() == NOTHING
"""
ASYNC = """
@pytest.fixture(scope="module")
async def running(anyio_backend):
    yield


@pytest.fixture
async def of_async(running, ctxvars_override):
    ctxvars_override(tenant, "of_async")


async def test_in_a_task(running, ctxvars_override):
    ctxvars_override({user: "Eve", tenant: "ACME"})
    ctxvars_override(Request(path="/login"))
    assert values() == ("Eve", "ACME", "/login", "none")


async def test_after_it(running):
    assert values() == NOTHING


async def test_in_a_fixture(of_async):
    assert tenant.get() == "of_async"


def test_sync(anyio_backend):
    assert values() == NOTHING
"""


@pytest.mark.parametrize("mode", ["off", "isolate", "check"])
def test_sync_tests(tmp_path: Path, mode: str) -> None:
    assert_passed(run_tests(tmp_path, ini=f"ctxvars = {mode}", test_a=VARIABLES + SYNC), 11)


@pytest.mark.parametrize("mode", ["off", "check"])
def test_tests_in_tasks_of_anyio(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("anyio")
    pytest.importorskip("trio")
    run = run_tests(
        tmp_path,
        plugins=("anyio.pytest_plugin",),
        ini=f"anyio_mode = auto\nctxvars = {mode}",
        test_a=VARIABLES + ASYNC,
    )
    assert_passed(run, 8)


@pytest.mark.parametrize("mode", ["off", "check"])
def test_tests_in_tasks_of_pytest_asyncio(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("pytest_asyncio")
    run = run_tests(
        tmp_path,
        plugins=("pytest_asyncio.plugin",),
        ini="asyncio_mode = auto\nasyncio_default_fixture_loop_scope = module\n"
        f"asyncio_default_test_loop_scope = module\nctxvars = {mode}",
        conftest="""
import pytest


@pytest.fixture(scope="module")
def anyio_backend():
    pass
""",
        test_a=VARIABLES + ASYNC,
    )
    assert_passed(run, 4)
