"""With pytest-asyncio, tests see the values that fixtures set."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_asyncio", reason="pytest-asyncio is not installed")

TESTS = """
import contextvars as native

import pytest
import pytest_asyncio

import ctxvars

user = ctxvars.ContextVar("user", default="nobody")
tenant = ctxvars.ContextVar("tenant", default="none")
native_user = native.ContextVar("native_user", default="nobody")


@pytest_asyncio.fixture
async def logged_in():
    user.set("Ada")
    native_user.set("Ada")


@pytest_asyncio.fixture
async def logged_in_for_the_test():
    token = user.set("Eve")
    yield user.get()
    assert user.get() == "Eve"
    user.reset(token)


@pytest_asyncio.fixture
@ctxvars.merge_back
def logged_in_on_a_thread():
    user.set("Bob")


@pytest.fixture
def has_tenant():
    tenant.set("set by a fixture that is not async")


@pytest.mark.asyncio
async def test_one(logged_in):
    assert (user.get(), native_user.get()) == ("Ada", "Ada")
    user.set("the test's")


@pytest.mark.asyncio
async def test_generator(logged_in_for_the_test):
    assert user.get() == logged_in_for_the_test == "Eve"


@pytest.mark.asyncio
async def test_thread(logged_in_on_a_thread):
    assert user.get() == "Bob"


@pytest.mark.asyncio
async def test_both(has_tenant, logged_in):
    assert (tenant.get(), user.get()) == ("set by a fixture that is not async", "Ada")


def test_afterwards():
    assert (user.get(), native_user.get()) == ("nobody", "nobody")
"""

EXTEND = """
import ctxvars

ctxvars.extend_native_contexts()
"""

# An async fixture of a module, and a sync fixture of the session that is set up later.
FIXTURES = """
import contextvars

import pytest
import pytest_asyncio

user = ctxvars.ContextVar("user", default="nobody")
tenant = ctxvars.ContextVar("tenant", default="none")
native_user = contextvars.ContextVar("native_user", default="nobody")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logged_in():
    user.set("Ada")
    native_user.set("Ada")
    yield
    assert user.get() == native_user.get() == "Ada"


@pytest.fixture(scope="session")
def has_tenant():
    tenant.set("Analytical Engines")
"""

FIRST_MODULE = """
from conftest import native_user, tenant, user


def test_logged_in(logged_in):
    assert (user.get(), native_user.get(), tenant.get()) == ("Ada", "Ada", "none")


def test_both(logged_in, has_tenant):
    assert (user.get(), tenant.get()) == ("Ada", "Analytical Engines")
"""

SECOND_MODULE = """
from conftest import native_user, tenant, user


def test_tenant(has_tenant):
    assert tenant.get() == "Analytical Engines"


def test_logged_out(has_tenant):
    assert (user.get(), native_user.get(), tenant.get()) == (
        "nobody",
        "nobody",
        "Analytical Engines",
    )
"""


def assert_all_pass(directory: Path, number: int) -> None:
    """Run the tests in the directory in another process."""
    (directory / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
    )
    # No other plugins, as loading them takes longer than running the tests.
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", str(directory)]
    done = contextvars.Context().run(
        subprocess.run,
        [sys.executable, "-m", "pytest", *options],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1].startswith(f"{number} passed"), done.stdout


@pytest.mark.parametrize("conftest", ["", EXTEND], ids=["as it is", "extended"])
def test_a_test_sees_values_that_async_fixtures_have_set(tmp_path: Path, conftest: str) -> None:
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_fixtures.py").write_text(TESTS, encoding="utf-8")
    assert_all_pass(tmp_path, 5)


def test_the_end_of_an_async_fixture_leaves_what_others_have_set(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(EXTEND + FIXTURES, encoding="utf-8")
    (tmp_path / "test_first.py").write_text(FIRST_MODULE, encoding="utf-8")
    (tmp_path / "test_second.py").write_text(SECOND_MODULE, encoding="utf-8")
    assert_all_pass(tmp_path, 4)
