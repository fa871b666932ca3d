"""The hook for `LookupError` during a recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ctxvars import ContextVar, _core
from tests.support.new_context import in_new_context

pytestmark = pytest.mark.usefixtures("recording")


@pytest.fixture
def hooked() -> Iterator[list[tuple[Any, Any]]]:
    calls: list[tuple[Any, Any]] = []
    _core.set_missing_hook(lambda *arguments: calls.append(arguments))
    yield calls
    _core.set_missing_hook(None)


def test_the_hook_gets_the_variable_and_the_exception(
    variable: ContextVar[Any], hooked: list[tuple[Any, Any]]
) -> None:
    with pytest.raises(LookupError) as raised:
        variable.get()
    assert hooked == [(variable, raised.value)]
    variable.get(None)
    _core.stop_recording()
    with pytest.raises(LookupError):
        variable.get()
    assert len(hooked) == 1


@pytest.mark.usefixtures("hooked")
@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, LookupError])
def test_an_error_of_the_hook_is_dropped(variable: ContextVar[Any], error: type[Exception]) -> None:
    def hook(*_: object) -> None:
        raise error("of the hook")

    _core.set_missing_hook(hook)
    with pytest.raises(LookupError) as raised:
        variable.get()
    assert raised.value.args == (variable,)
    assert raised.value.__context__ is None


@pytest.mark.usefixtures("hooked")
def test_an_interrupt_of_the_hook_is_raised(variable: ContextVar[Any]) -> None:
    def hook(*_: object) -> None:
        raise KeyboardInterrupt

    _core.set_missing_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        variable.get()


@pytest.mark.usefixtures("hooked")
def test_the_hook_may_use_variables(variable: ContextVar[Any]) -> None:
    depth = 0

    def hook(found: ContextVar[Any], _: LookupError) -> None:
        nonlocal depth
        depth += 1
        if depth < 5:
            with pytest.raises(LookupError):
                found.get()
        found.set(depth)

    _core.set_missing_hook(hook)

    def body() -> int:
        with pytest.raises(LookupError):
            variable.get()
        return int(variable.get())

    assert in_new_context(body) == 5
