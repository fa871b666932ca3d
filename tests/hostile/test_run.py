"""`Context.run`: contexts that are entered already, exceptions, and recursion."""

from __future__ import annotations

import importlib
import operator
import threading
from collections.abc import Generator
from types import ModuleType
from typing import Any

from tests.support.parity import assert_same, attempt, snapshot
from tests.support.subprocesses import in_subprocess


def test_run_of_entered_contexts() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, context = module.ContextVar("v"), module.Context()
        outcomes = []

        def inside(depth: int) -> None:
            variable.set(depth)
            outcomes.append(attempt(context.run, inside, depth + 1))
            outcomes.append(attempt(module.copy_context().run, variable.set, "copy"))
            module.Context().run(lambda: outcomes.append(attempt(context.run, int)))
            outcomes.append(attempt(context.run))
            outcomes.append(attempt(context.run, 1))

        outcomes.append(attempt(context.run, inside, 0))
        outcomes.append(attempt(context.run, operator.truediv, 1, 0))
        outcomes.append(attempt(context.run, int, "x"))
        outcomes.append(attempt(context.run, variable.get))
        outcomes.append(repr(snapshot(context)))
        return outcomes

    assert_same(use)


def test_run_of_a_context_that_another_thread_has_entered() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, context = module.ContextVar("v"), module.Context()
        entered, leave = threading.Event(), threading.Event()

        def wait() -> None:
            variable.set("other thread")
            entered.set()
            assert leave.wait(20)

        thread = threading.Thread(target=context.run, args=(wait,))
        thread.start()
        assert entered.wait(20)
        outcomes = [attempt(context.run, variable.get), repr(snapshot(context))]
        outcomes.append(attempt(context.copy().run, variable.get))
        leave.set()
        thread.join()
        return [*outcomes, attempt(context.run, variable.get)]

    assert_same(use)


def test_generators_suspended_in_run() -> None:
    def use(module: ModuleType) -> list[object]:
        variable = module.ContextVar("v", default="default")
        one, other = module.Context(), module.Context()

        def generate() -> Generator[object, None, None]:
            token = variable.set("set")
            try:
                yield variable.get()
                yield variable.get()
            finally:
                outcomes.append(attempt(variable.reset, token))

        outcomes: list[object] = []
        generator = generate()
        outcomes.append(one.run(next, generator))
        # The generator runs in the context of the caller that resumes it.
        outcomes.append(other.run(next, generator))
        outcomes.append(next(generate()))
        other.run(generator.close)
        finished = generate()
        one.run(next, finished)
        one.run(finished.close)
        return [*outcomes, snapshot(one), snapshot(other), snapshot(module.copy_context())]

    assert_same(use)


def test_exceptions_that_are_not_errors_leave_run() -> None:
    def use(module: ModuleType) -> list[str]:
        context = module.Context()
        outcomes: list[str] = []
        for exception in (KeyboardInterrupt, SystemExit, GeneratorExit):

            def fail(exception: type[BaseException] = exception) -> None:
                module.ContextVar("v").set(1)
                raise exception

            try:
                context.run(fail)
            except BaseException as error:
                outcomes.append(type(error).__name__)
            outcomes.append(attempt(context.run, len, "entered no more"))
        return outcomes

    assert_same(use)


def recursion(name: str) -> list[str]:
    module = importlib.import_module(name)
    outcomes = []
    variable = module.ContextVar("v")

    endless: list[Any] = []
    endless.append(module.ContextVar("w", default=endless))
    outcomes.append(attempt(repr, endless[0]))

    # From 3.14 on, the limit is the size of the stack. Our frames take a little more of it.
    nested = None
    for _ in range(5_000):
        nested = module.ContextVar("w", default=nested)
    outcomes.append(attempt(repr, nested).partition(" while")[0])
    while nested is not None:
        # Freed from the outside, since dropping a deep nest is another test.
        nested = nested.get()

    depth = 0

    def deeper(context: Any) -> None:
        nonlocal depth
        depth += 1
        variable.set(depth)
        module.copy_context().run(deeper, context)

    outcomes.append(attempt(module.Context().run, deeper, None))
    outcomes.append(str(depth))
    outcomes.append(attempt(variable.get))

    contexts = [module.Context() for _ in range(20_000)]
    runs = [context.run for context in contexts]
    outcomes.append(attempt(runs[0], *runs[1:], int))
    # All contexts have been left.
    outcomes.append(str([context.run(int) for context in contexts] == [0] * len(contexts)))

    class Recursive:
        def __eq__(self, other: object) -> bool:
            return bool(one == two)

        __hash__ = None  # type: ignore[assignment]

    one, two = module.Context(), module.Context()
    one.run(variable.set, Recursive())
    two.run(variable.set, Recursive())
    outcomes.append(attempt(operator.eq, one, two).partition(" in comparison")[0])

    one, two = module.Context(), module.Context()
    one.run(variable.set, [1])
    two.run(variable.set, [1])
    for _ in range(20_000):
        outer, other_outer = module.Context(), module.Context()
        outer.run(variable.set, one)
        other_outer.run(variable.set, two)
        one, two = outer, other_outer
    outcomes.append(attempt(operator.eq, one, two))
    return outcomes


def test_recursion_ends_where_it_does_in_the_standard_library() -> None:
    outcomes = in_subprocess(recursion, "ctxvars")
    assert outcomes == in_subprocess(recursion, "contextvars")
    # From 3.14 on, the limit of C code is the size of the stack.
    assert sum("RecursionError" in outcome for outcome in outcomes) >= 2
