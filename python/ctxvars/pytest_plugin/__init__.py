"""The pytest plugin: fixtures set variables for tests, and tests leave no variables behind.

An entry point loads this module in every pytest run of an environment in which ctxvars is
installed. So it imports pytest only, and only declares an option, a marker and the fixture
`ctxvars_override`. The option `ctxvars` in the configuration file, or `--ctxvars` on the
command line, loads the rest:

- `off`, the default: pytest is as without the plugin. The fixture works, the marker does nothing.
- `isolate`: a variable that a fixture sets, whether the fixture is sync or async and whatever its
  scope, is seen by the fixtures and tests that run while the fixture lives, and is undone at the
  end of the fixture. Whatever a test sets is undone after the test.
- `check`: also, a test fails that leaves a variable with another value than it had before the test.

`@pytest.mark.ctxvars("isolate")` or `("check")` chooses one of the last two for single tests.

It is an option, and not a fixture or a marker that a test requests, because fixtures of a session
are set up before the first marker is read, and because a test that is isolated is not protected
from tests that are not. It is an option of the configuration file, because tests that need it
fail without it. The command line wins, to try it or to switch it off for one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctxvars.pytest_plugin._override import Override as Override

__all__ = ["Override", "ctxvars_override"]

MODES = ("off", "isolate", "check")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "ctxvars",
        "context variables in tests: off (default), isolate or check",
        type="string",
        default="off",
    )
    parser.getgroup("ctxvars").addoption(
        "--ctxvars",
        dest="ctxvars_mode",
        choices=MODES,
        help="off: as without the plugin. isolate: tests see variables that fixtures have set, and "
        "their own changes are undone. check: also, tests that leave variables set fail. "
        "The default is the option `ctxvars` of the configuration file.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "ctxvars(mode): 'isolate' or 'check' for this test, if the plugin is not off."
    )
    mode = config.getoption("ctxvars_mode") or config.getini("ctxvars")
    if mode not in MODES:
        raise pytest.UsageError(f"the option ctxvars is one of {', '.join(MODES)}, not {mode!r}")
    if mode != "off":
        from ctxvars.pytest_plugin._hooks import Hooks

        config.pluginmanager.register(Hooks(config, mode), "ctxvars_hooks")


def __getattr__(name: str) -> object:
    if name != "Override":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ctxvars.pytest_plugin._override import Override

    return Override


@pytest.fixture
def ctxvars_override(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Set variables until the end of the test.

    `ctxvars_override(variable, value)`, `ctxvars_override({variable: value, ...})` or
    `ctxvars_override(Group(field=value))`. `MISSING` takes a value away.
    """
    from ctxvars.pytest_plugin._override import override_for

    with override_for(request) as override:
        yield override
