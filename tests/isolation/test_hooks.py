"""Hooks of async generators that other code has replaced, or that cannot be replaced."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ctxvars import isolated
from tests.support.subprocesses import in_subprocess


async def numbers() -> AsyncIterator[int]:
    yield 1
    yield 2


def first_step(generator: Any) -> Any:
    try:
        generator.asend(None).send(None)
    except StopIteration as stop:
        return stop.value


def foreign_result(index: int) -> str:
    result = (5, None, (), (None,), (None, None, None), [None, None])[index]
    sys.get_asyncgen_hooks = lambda: result  # type: ignore[assignment,return-value]
    with pytest.raises(TypeError) as caught:
        first_step(isolated(numbers()))
    return str(caught.value)


@pytest.mark.parametrize("index", range(6))
def test_hooks_that_are_not_a_pair_are_refused(index: int) -> None:
    message = "sys.get_asyncgen_hooks() must return a tuple of two, got "
    assert in_subprocess(foreign_result, index).startswith(message)


class Audited:
    """Hooks of a loop that refuse the changes with given numbers."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.dropped: list[Any] = []
        self.refused: Callable[[int], bool] = lambda number: False
        self.changes = 0
        sys.set_asyncgen_hooks(self.begun.append, self.dropped.append)
        self.hooks = sys.get_asyncgen_hooks()
        sys.addaudithook(self.audit)

    def audit(self, event: str, _: object) -> None:
        if event.startswith("sys.set_asyncgen_hook"):
            self.changes += 1
            if self.refused(self.changes):
                raise ZeroDivisionError

    def refuse(self, refused: Callable[[int], bool]) -> None:
        self.changes, self.refused = 0, refused


def refuse_one_change() -> list[int]:
    """Return the refused changes that leave wrong hooks, or a generator unknown to the loop."""
    audited, wrong = Audited(), []
    for number in range(1, 7):
        generator = isolated(numbers())
        audited.refuse(lambda change, number=number: change == number)
        with contextlib.suppress(ZeroDivisionError):
            assert first_step(generator) == 1
        audited.refuse(lambda change: False)
        restored = sys.get_asyncgen_hooks() == audited.hooks
        first_step(generator)
        audited.begun.clear()
        del generator
        dropped = [type(each).__name__ for each in audited.dropped]
        audited.dropped.clear()
        if not restored or dropped != ["isolated_async_generator"]:
            wrong.append((number, restored, dropped))
    return wrong


def test_a_refused_change_of_the_hooks_leaves_those_of_the_loop() -> None:
    assert in_subprocess(refuse_one_change) == []


def refuse_all_changes_from(number: int) -> list[Any]:
    """Start generators while the hooks cannot be restored; return those that the loop knows."""
    audited = Audited()
    audited.refuse(lambda change: change >= number)
    isolated_one = isolated(numbers())
    with contextlib.suppress(ZeroDivisionError):
        first_step(isolated_one)
    audited.begun.clear()
    later = numbers()
    assert first_step(later) == 1
    found = [audited.begun == [later]]
    audited.begun.clear()
    name = repr(later)
    del later
    found.append([repr(each) for each in audited.dropped] == [name])
    audited.dropped.clear()
    audited.refuse(lambda change: False)
    sys.set_asyncgen_hooks(*audited.hooks)
    first_step(isolated_one)
    audited.begun.clear()
    del isolated_one
    return [*found, [type(each).__name__ for each in audited.dropped]]


@pytest.mark.parametrize("number", range(1, 5))
def test_hooks_that_cannot_be_put_back_call_those_of_the_loop(number: int) -> None:
    found = in_subprocess(refuse_all_changes_from, number)
    assert found == [True, True, ["isolated_async_generator"]]
