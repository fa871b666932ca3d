"""Fixtures set variables for tests in tasks, under the plugins of pytest-asyncio and anyio."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.plugin.running import Run, assert_passed, line_of, run_tests


class Plugin(NamedTuple):
    packages: list[str]
    module: str
    ini: str
    conftest: str
    backends: int


PLUGINS = {
    "pytest_asyncio": Plugin(
        ["pytest_asyncio"],
        "pytest_asyncio.plugin",
        "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\n"
        "asyncio_default_test_loop_scope = session\n",
        # So that both plugins run the same tests.
        "\n\n@pytest.fixture(scope='session')\ndef anyio_backend():\n    pass\n",
        1,
    ),
    "anyio": Plugin(
        ["anyio", "trio"],
        "anyio.pytest_plugin",
        "anyio_mode = auto\n",
        "\n\n@pytest.fixture(scope='session', params=['asyncio', 'trio'])\n"
        "def anyio_backend(request):\n    return request.param\n",
        2,
    ),
}

VARIABLES = """
import pytest
import ctxvars

first = ctxvars.ContextVar("first", default=None)
second = ctxvars.ContextVar("second", default=None)
third = ctxvars.ContextVar("third", default=None)
fourth = ctxvars.ContextVar("fourth", default=None)


def values():
    return first.get(), second.get(), third.get(), fourth.get()
"""


@pytest.fixture(params=PLUGINS)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    for package in {"pytest_asyncio": ["pytest_asyncio"], "anyio": ["anyio", "trio"]}[
        request.param
    ]:
        pytest.importorskip(package)
    return PLUGINS[request.param]


def run_async(
    directory: Path, plugin: Plugin, *options: str, mode: str = "check", **modules: str
) -> Run:
    modules["conftest"] = VARIABLES + plugin.conftest + modules.get("conftest", "")
    ini = f"{plugin.ini}ctxvars = {mode}\n"
    return run_tests(directory, *options, plugins=(plugin.module,), ini=ini, **modules)


@pytest.mark.parametrize(
    "scope",
    [
        "function",
        pytest.param("class", marks=pytest.mark.slow),
        "module",
        pytest.param("session", marks=pytest.mark.slow),
    ],
)
def test_tests_see_what_fixtures_of_each_kind_have_set(
    tmp_path: Path, plugin: Plugin, scope: str
) -> None:
    run = run_async(
        tmp_path,
        plugin,
        conftest=f"""

@pytest.fixture(scope="{scope}")
def of_sync(anyio_backend):
    first.set(1)


@pytest.fixture(scope="{scope}")
async def of_async(anyio_backend):
    second.set(2)


@pytest.fixture(scope="{scope}")
def of_generator(of_async):
    token = third.set(3)
    yield
    assert third.get() == 3
    third.reset(token)


@pytest.fixture(scope="{scope}")
async def of_async_generator(of_generator, of_sync):
    assert values() == (1, 2, 3, None)
    token = fourth.set(4)
    yield
    assert values() == (1, 2, 3, 4)
    fourth.reset(token)
""",
        test_a="""
from conftest import values


class TestOne:
    def test_sync(self, of_async_generator):
        assert values() == (1, 2, 3, 4)

    async def test_async(self, of_async_generator):
        assert values() == (1, 2, 3, 4)
""",
        test_b="""
from conftest import values


def test_sync(anyio_backend):
    assert values() in [(None, None, None, None), (1, 2, 3, 4)]


async def test_async():
    assert values() in [(None, None, None, None), (1, 2, 3, 4)]
""",
        test_c="""
from conftest import values


def test_undone():
    assert values() == (None, None, None, None)
"""
        if scope != "session"
        else "",
    )
    assert_passed(run, 4 * plugin.backends + (scope != "session"))


def test_the_end_of_an_async_fixture_leaves_what_others_have_set(
    tmp_path: Path, plugin: Plugin
) -> None:
    """Without the plugin, pytest-asyncio resets all variables of ctxvars."""
    run = run_async(
        tmp_path,
        plugin,
        conftest="""

@pytest.fixture(scope="module")
async def of_module(anyio_backend):
    first.set("module")
    yield


@pytest.fixture(scope="session")
def of_session(anyio_backend):
    second.set("session")
""",
        test_a="""
from conftest import values


async def test_one(of_module):
    assert values()[:2] == ("module", None)


def test_two(of_module, of_session):
    assert values()[:2] == ("module", "session")
""",
        test_b="""
from conftest import values


def test_three(of_session):
    assert values()[:2] == (None, "session")


async def test_four(of_session):
    assert values()[:2] == (None, "session")
""",
    )
    assert_passed(run, 4 * plugin.backends)


def test_a_sync_fixture_sets_a_variable_for_a_task_that_is_older(
    tmp_path: Path, plugin: Plugin
) -> None:
    """anyio's task, which runs async fixtures and tests, is created for the first of them."""
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *


@pytest.fixture(scope="module")
async def earlier(anyio_backend):
    first.set("earlier")
    yield


@pytest.fixture
def later(earlier):
    token = second.set("later")
    yield
    second.reset(token)


@pytest.fixture
async def latest(later):
    assert values()[:2] == ("earlier", "later")
    third.set("latest")
    yield
    assert values()[:3] == ("earlier", "later", "latest")


async def test_one(latest):
    assert values()[:3] == ("earlier", "later", "latest")


async def test_two(earlier):
    assert values()[:3] == ("earlier", None, None)
""",
    )
    assert_passed(run, 2 * plugin.backends)


def test_an_async_test_does_not_see_what_the_last_one_has_set(
    tmp_path: Path, plugin: Plugin
) -> None:
    run = run_async(
        tmp_path,
        plugin,
        mode="isolate",
        test_a="""
import pytest
from conftest import *

made = ctxvars.ContextVar("made", default_factory=list)


@pytest.fixture(scope="module")
async def running(anyio_backend):
    yield


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_async(running, number):
    assert values() == (None, None, None, None)
    assert made.get() == []
    first.set(number)
    made.get().append(number)


@pytest.mark.parametrize("number", [1, 2])
def test_sync(running, number):
    assert values() == (None, None, None, None)
    assert made.get() == []
    first.set(number)
    made.get().append(number)
""",
    )
    assert_passed(run, 5 * plugin.backends)


def test_fixtures_are_bound_to_the_instance_of_the_test(tmp_path: Path, plugin: Plugin) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *


class TestOne:
    @pytest.fixture
    async def own(self, anyio_backend):
        self.attribute = "set"
        first.set("set")
        return self

    async def test_one(self, own):
        assert own is self
        assert (self.attribute, first.get()) == ("set", "set")
""",
    )
    assert_passed(run, plugin.backends)


def test_a_failing_async_fixture_leaves_nothing(tmp_path: Path, plugin: Plugin) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *


@pytest.fixture
async def failing(anyio_backend):
    first.set(1)
    raise ValueError("cannot set up")


@pytest.fixture
async def failing_at_the_end(anyio_backend):
    second.set(1)
    yield
    raise ValueError("cannot tear down")


async def test_setup(failing):
    pass


async def test_teardown(failing_at_the_end):
    assert values()[:2] == (None, 1)


async def test_afterwards():
    assert values() == (None, None, None, None)
""",
    )
    assert run.outcomes == {"passed": 2 * plugin.backends, "error": 2 * plugin.backends}, run.text


def test_an_async_test_that_leaves_a_variable_fails(tmp_path: Path, plugin: Plugin) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *


@pytest.fixture
async def login(anyio_backend):
    names = []
    yield names.append
    assert first.get() == names[-1]
    first.delete()


class Settings(ctxvars.Group):
    theme: str = "light"


async def leave():
    second.set(1)


async def test_leaves():
    await leave()


async def test_is_cleaned_by_an_async_fixture(login):
    first.set("Ada")
    login("Ada")


async def test_is_cleaned_by_monkeypatch(monkeypatch):
    monkeypatch.setattr(Settings, "theme", "dark")
    assert Settings.theme == "dark"


async def test_a_child_task_leaves_nothing_here():
    import anyio

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
    assert second.get() is None
""",
    )
    count = plugin.backends
    assert run.outcomes == {"passed": 4 * count, "error": count}, run.text
    assert f"'second', set at test_a.py:{line_of(tmp_path, 'second.set(1)')} in leave" in run.text


def test_each_example_of_an_async_hypothesis_test_starts_clean(
    tmp_path: Path, plugin: Plugin
) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
from conftest import *
from hypothesis import given, settings, strategies as st


@settings(max_examples=3, database=None)
@given(number=st.integers())
async def test_leaves(number):
    assert first.get() is None
    first.set(number)


@settings(max_examples=3, database=None)
@given(number=st.integers())
async def test_does_not_leave(number):
    assert first.get() is None
    with first.scope(number):
        pass
""",
    )
    assert run.outcomes == {"passed": 2 * plugin.backends, "error": plugin.backends}, run.text
    line = line_of(tmp_path, "first.set(number)")
    assert f"'first', set at test_a.py:{line} in test_leaves" in run.text


def test_nested_event_loops_of_a_sync_test_see_the_values(tmp_path: Path, plugin: Plugin) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *


@pytest.fixture
async def value(anyio_backend):
    first.set("async")


def test_one(value):
    import asyncio

    async def main():
        return await asyncio.create_task(read())

    async def read():
        return first.get()

    with asyncio.Runner() as runner:
        assert runner.run(main()) == "async"
""",
    )
    assert_passed(run, plugin.backends)


def test_tracebacks_do_not_show_the_plugin(tmp_path: Path, plugin: Plugin) -> None:
    run = run_async(
        tmp_path,
        plugin,
        test_a="""
import pytest
from conftest import *
from hypothesis import given, strategies as st


@pytest.fixture
async def failing(anyio_backend):
    raise ValueError("failing")


@pytest.fixture
async def failing_at_the_end(anyio_backend):
    yield
    raise ValueError("failing at the end")


async def test_setup(failing):
    pass


async def test_teardown(failing_at_the_end):
    assert False


@given(number=st.just(1))
def test_sync_example(number):
    assert False


@given(number=st.just(1))
async def test_async_example(number):
    assert False
""",
    )
    expected = {"failed": 2 * plugin.backends + 1, "error": 2 * plugin.backends}
    assert run.outcomes == expected, run.text
    assert "pytest_plugin/" not in run.text
