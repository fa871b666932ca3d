"""What tests see of what fixtures set, with pytest-asyncio as such."""

from __future__ import annotations

import contextvars
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


def test_what_async_fixtures_set_is_seen_by_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_fixtures.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = contextvars.Context().run(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1].startswith("5 passed"), done.stdout
