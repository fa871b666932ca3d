"""Several threads use one object at once, with a switch between threads as often as possible."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import ctxvars
from tests.support.concurrency import OFTEN, in_threads
from tests.support.subprocesses import in_subprocess


def hammer(work: Callable[[int], Any], threads: int = 4) -> list[Any]:
    """Do the work in several threads at once; return the results."""
    sys.setswitchinterval(OFTEN)
    return in_threads(*[partial(work, number) for number in range(threads)])


def hammer_context() -> None:
    """Only one thread at a time is in the context, and no change is lost."""
    context, number = ctxvars.Context(), ctxvars.ContextVar("number", default=0)
    inside = 0

    def add() -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        number.set(number.get() + 1)
        inside -= 1

    def work(_: int) -> int:
        done = 0
        for _ in range(2_000):
            try:
                context.run(add)
                done += 1
            except RuntimeError:
                pass
            seen = context.get(number, 0)
            assert context.copy().get(number, 0) >= seen
        return done

    done = hammer(work)
    assert sum(done) == context[number] > 0


def hammer_readers() -> None:
    """Readers see the variables as they were between two changes."""
    context = ctxvars.Context()
    variables = [ctxvars.ContextVar[int](f"v{number}") for number in range(50)]

    def write() -> None:
        for round_ in range(300):
            for variable in variables:
                variable.set(round_)

    def work(number: int) -> None:
        if number == 0:
            context.run(write)
            return
        for _ in range(300):
            values = [value for _, value in context.items()]
            # The writer goes through the variables in one order, so at most two rounds are seen.
            assert not values or max(values) - min(values) <= 1
            assert len(values) in range(51)
            assert (context == context.copy()) in (True, False)

    hammer(work)
    assert len(context) == 50


def hammer_iterator() -> None:
    """Each entry goes to exactly one thread."""
    context = ctxvars.Context()
    for number in range(20_000):
        context.run(ctxvars.ContextVar(f"v{number}").set, [number])
    items = iter(context.values())
    taken = hammer(lambda _: [value[0] for value in items])
    assert sorted(value for part in taken for value in part) == list(range(20_000))


def hammer_token() -> None:
    """One reset of a token succeeds, in one of the threads."""
    context, variable = ctxvars.Context(), ctxvars.ContextVar("v", default="before")
    for _ in range(200):
        token = context.run(variable.set, "set")

        def work(_: int, token: Any = token) -> int:
            done = 0
            for _ in range(5):
                try:
                    context.run(variable.reset, token)
                    done += 1
                except RuntimeError:
                    pass
            return done

        assert sum(hammer(work, 3)) == 1
        assert variable not in context


def hammer_variable() -> None:
    """Each thread sees its values of a variable, although the variable caches other values."""
    variable = ctxvars.ContextVar[object]("v")

    def work(number: int) -> None:
        assert variable.get(None) is None
        for round_ in range(5_000):
            mine = (number, round_)
            token = variable.set(mine)
            assert variable.get() is mine
            assert ctxvars.copy_context()[variable] is mine
            if round_ % 2:
                variable.reset(token)
                assert variable.get() == (number, round_ - 1)

    hammer(work)


def hammer_creation() -> None:
    """Free lists are shared by all threads."""

    def work(number: int) -> None:
        kept: list[object] = []
        for round_ in range(2_000):
            context, variable = ctxvars.Context(), ctxvars.ContextVar[object]("v")
            kept.append(context.run(variable.set, [context]))
            kept.append(iter(context.items()))
            assert context[variable] == [context]
            if round_ % 200 == 0:
                kept.clear()
                gc.collect()

    hammer(work)


HAMMERS = [
    hammer_context,
    hammer_readers,
    hammer_iterator,
    hammer_token,
    hammer_variable,
    hammer_creation,
]


@pytest.mark.parametrize("strike", HAMMERS, ids=lambda strike: strike.__name__)
def test_threads_that_use_one_object_at_once(strike: Callable[[], None]) -> None:
    in_subprocess(strike)
