"""Random fixtures and tests: each test sees the values of exactly those fixtures that live."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.plugin.running import run_tests
from tests.plugin.test_async_plugins import PLUGINS, Plugin

SCOPES = ["session", "module", "class", "function"]
SUPPORT = """
import pytest
import ctxvars

shared = ctxvars.ContextVar("shared", default=None)
own = {}
living = []


def start(name):
    living.append(name)
    own[name].set(name)
    return shared.set(name)


def stop(name, token):
    living.remove(name)
    # The test is over, but its changes are undone after its fixtures have ended.
    assert own[name].get() in [name, "test"]
    if token is not None:
        shared.reset(token)


def check():
    values = {name: variable.get(None) for name, variable in own.items()}
    assert values == {name: name if name in living else None for name in own}
    assert shared.get() == (living[-1] if living else None)
"""


def random_fixture(choose: random.Random, number: int, earlier: list[tuple[str, str]]) -> str:
    """Return a fixture that requests others, and sets two variables."""
    scope = choose.choice(SCOPES)
    name = f"fixture{number}"
    wider = [other for other, its in earlier if SCOPES.index(its) <= SCOPES.index(scope)]
    requested = choose.sample(wider, min(len(wider), choose.randrange(3)))
    late = choose.choice(wider) if wider and choose.random() < 0.3 else None
    earlier.append((name, scope))
    is_async = choose.random() < 0.5
    # An async fixture cannot request another one in its task.
    lines = [f"    request.getfixturevalue('{late}')"] if late and not is_async else []
    token = choose.choice(["token", "None"])
    lines += [f"    token = start('{name}')", "    yield", f"    stop('{name}', {token})"]
    arguments = ", ".join(["request", "anyio_backend", *requested])
    return "\n".join(
        [
            f"own['{name}'] = ctxvars.ContextVar('{name}')\n\n",
            f"@pytest.fixture(scope='{scope}')",
            f"{'async ' * is_async}def {name}({arguments}):",
            *lines,
            "\n",
        ]
    )


def random_test(choose: random.Random, number: int, fixtures: list[str], indent: str) -> str:
    requested = choose.sample(fixtures, choose.randrange(4))
    is_method = ["self"] if indent else []
    arguments = ", ".join([*is_method, "anyio_backend", *requested])
    return "".join(
        f"{indent}{line}\n"
        for line in [
            f"{choose.choice(['', 'async '])}def test_{number}({arguments}):",
            "    check()",
            "    shared.set('test')",
            f"    own['{choose.choice(fixtures)}'].set('test')",
            "",
        ]
    )


def random_module(choose: random.Random, fixtures: list[str]) -> str:
    parts = ["from conftest import check, own, shared\n\n"]
    for number in range(12):
        if number % 4 == 0:
            parts.append(f"class TestClass{number}:\n" if number else "")
        parts.append(random_test(choose, number, fixtures, "    " if number >= 4 else ""))
    return "\n".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("plugin", PLUGINS.values(), ids=PLUGINS)
def test_tests_see_the_fixtures_that_live(tmp_path: Path, plugin: Plugin, seed: int) -> None:
    for package in plugin.packages:
        pytest.importorskip(package)
    choose = random.Random(seed)
    scopes: list[tuple[str, str]] = []
    conftest = SUPPORT + plugin.conftest + "\n\n"
    conftest += "".join(random_fixture(choose, number, scopes) for number in range(16))
    fixtures = [name for name, _ in scopes]
    modules = {f"test_{name}": random_module(choose, fixtures) for name in "abc"}
    run = run_tests(
        tmp_path,
        plugins=(plugin.module,),
        ini=plugin.ini + "ctxvars = isolate\n",
        conftest=conftest,
        **modules,
    )
    assert run.outcomes == {"passed": 36 * plugin.backends}, run.text
