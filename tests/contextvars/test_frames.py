"""Frames: values that are detached in any order and in any context.

They are the base of the runtime context for OpenTelemetry.
"""

from __future__ import annotations

import contextvars
import gc
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars._core import Frames
from tests.support.new_context import in_new_context


class Value(dict[str, int]):
    """A value that can have weak references."""


def frames() -> Frames:
    return Frames("values", "default")


def test_a_detached_value_gives_way_to_the_one_below() -> None:
    def run() -> None:
        of = frames()
        seen = [of.get_current()]
        first = of.attach("first")
        second = of.attach("second")
        seen.append(of.get_current())
        of.detach(second)
        seen.append(of.get_current())
        of.detach(first)
        seen.append(of.get_current())
        assert seen == ["default", "second", "first", "default"]

    in_new_context(run)


def test_a_value_that_is_detached_below_another_one_does_not_return() -> None:
    def run() -> None:
        of = frames()
        first, second, third = of.attach("first"), of.attach("second"), of.attach("third")
        of.detach(second)
        of.detach(first)
        assert of.get_current() == "third"
        of.detach(third)
        assert of.get_current() == "default"

    in_new_context(run)


def test_attachments_of_one_value_differ() -> None:
    def run() -> None:
        of, value = frames(), Value()
        below = of.attach("below")
        first, second = of.attach(value), of.attach(value)
        of.detach(first)
        assert of.get_current() is value
        of.detach(second)
        assert of.get_current() == "below"
        of.detach(below)

    in_new_context(run)


def test_detaching_again_changes_nothing() -> None:
    def run() -> None:
        of = frames()
        below = of.attach("below")
        token = of.attach("value")
        for _ in range(3):
            of.detach(token)
            assert of.get_current() == "below"
        contextvars.copy_context().run(of.detach, token)
        assert of.get_current() == "below"
        of.detach(below)

    in_new_context(run)


def test_a_value_that_is_detached_elsewhere_is_taken_off_in_its_context() -> None:
    def run() -> None:
        of = frames()
        below = of.attach("below")
        token = of.attach("value")
        contextvars.Context().run(of.detach, token)
        assert of.get_current() == "below"
        of.detach(below)
        assert of.get_current() == "default"

    in_new_context(run)


def test_a_copy_keeps_a_value_that_is_detached_elsewhere_later() -> None:
    def run() -> None:
        of = frames()
        token = of.attach("value")
        child = contextvars.copy_context()
        contextvars.Context().run(of.detach, token)
        assert child.run(of.get_current) == "value"
        assert of.get_current() == "default"
        assert child.run(of.get_current) == "value"

        def nested() -> None:
            inner = of.attach("inner")
            assert of.get_current() == "inner"
            of.detach(inner)
            assert of.get_current() == "value"

        child.run(nested)
        assert child.copy().run(of.get_current) == "value"

    in_new_context(run)


def test_a_value_that_is_detached_in_a_copy_is_taken_off_there_too() -> None:
    def run() -> None:
        of = frames()
        below = of.attach("below")
        token = of.attach("value")
        child, other = contextvars.copy_context(), contextvars.copy_context()
        child.run(of.detach, token)
        assert child.run(of.get_current) == "below"
        assert of.get_current() == "below"
        assert other.run(of.get_current) == "value"
        of.detach(below)

    in_new_context(run)


def test_several_values_that_are_detached_elsewhere_are_taken_off_at_once() -> None:
    def run() -> None:
        of = frames()
        tokens = [of.attach(number) for number in range(5)]
        other = contextvars.Context()
        for token in tokens[1:]:
            other.run(of.detach, token)
        assert of.get_current() == 0
        of.detach(tokens[0])
        assert of.get_current() == "default"

    in_new_context(run)


def test_attaching_takes_ended_values_off_first() -> None:
    def run() -> None:
        of, other = frames(), contextvars.Context()
        values = [Value() for _ in range(10)]
        alive = [weakref.ref(value) for value in values]
        for value in values:
            other.run(of.detach, of.attach(value))
        del value
        values.clear()
        token = of.attach("last")
        gc.collect()
        assert not any(it() for it in alive)
        of.detach(token)
        assert of.get_current() == "default"

    in_new_context(run)


def test_values_that_are_never_detached_are_not_kept() -> None:
    """OpenTelemetry's instrumentations of workers attach a context for each job."""

    def run() -> None:
        of = frames()
        values = [Value() for _ in range(100)]
        alive = [weakref.ref(value) for value in values]
        for value in values:
            of.attach(value)
        del value
        values.clear()
        gc.collect()
        assert [it() is not None for it in alive] == [False] * 99 + [True]

    in_new_context(run)


def test_contexts_with_values_are_freed_without_the_collector() -> None:
    of = frames()
    value = Value()
    alive = weakref.ref(value)

    def attach(value: Value) -> None:
        of.detach(of.attach(value))
        of.attach(value)

    context = contextvars.Context()
    gc.disable()
    try:
        context.run(attach, value)
        del value, context
        assert alive() is None
    finally:
        gc.enable()


def test_a_cycle_through_a_value_is_collected() -> None:
    def run() -> None:
        of = frames()
        value = Value()
        cycle: list[Any] = [value, of]
        cycle += [cycle, of.attach(cycle)]
        of.detach(cycle[-1])
        other = contextvars.copy_context()
        token = other.run(of.attach, cycle)
        of.detach(token)
        cycle += [token, other]
        alive = weakref.ref(value)
        del cycle, value, token, other, of
        gc.collect()
        assert alive() is None

    in_new_context(run)


def test_another_thread_detaches() -> None:
    def run() -> None:
        of = frames()
        token = of.attach("value")
        thread = threading.Thread(target=of.detach, args=[token])
        thread.start()
        thread.join()
        assert of.get_current() == "default"

    in_new_context(run)


def test_a_context_that_is_gone_needs_no_detaching() -> None:
    def run() -> None:
        of = frames()
        context = contextvars.Context()
        token = context.run(of.attach, "value")
        child = context.run(contextvars.copy_context)
        del context
        of.detach(token)
        gc.collect()
        assert child.run(of.get_current) == "value"

    in_new_context(run)


def test_wrong_arguments_are_refused() -> None:
    of = frames()
    for wrong in (None, "token", contextvars.ContextVar("v").set(1)):
        with pytest.raises(TypeError, match="expected an instance of FrameToken, got"):
            of.detach(wrong)
    token = frames().attach("value")
    with pytest.raises(ValueError, match="was created by a different runtime context"):
        of.detach(token)
    with pytest.raises(TypeError, match="cannot create"):
        type(token)()
    for arguments in ((), ("name",), ("name", 1, 2), (1, 2)):
        with pytest.raises(TypeError):
            Frames(*arguments)
    with pytest.raises(RuntimeError, match="called already"):
        of.__init__("values", "default")  # type: ignore[misc]


def test_a_subclass_may_forget_to_initialise() -> None:
    class Forgetful(Frames):
        def __init__(self) -> None:
            pass

    of = Forgetful()
    for call in (of.get_current, lambda: of.attach(1), lambda: of.detach(1)):
        with pytest.raises(RuntimeError, match=r"Frames\.__init__\(\) was not called"):
            call()


def test_another_value_of_the_variable_is_no_frame() -> None:
    """Code that iterates over a context finds the variable, and can set it."""

    def run() -> None:
        import ctxvars

        of = frames()
        token = of.attach("value")
        [variable] = [each for each in ctxvars.copy_context() if each.name == "values"]
        variable.set("anything")
        assert of.get_current() == "default"
        of.detach(token)
        assert of.get_current() == "default"

    in_new_context(run)


class Model:
    """What each context sees: the frames that are not detached, or that it has inherited."""

    def __init__(self) -> None:
        self.stacks: list[list[tuple[int, int]]] = [[]]
        self.detached: set[int] = set()

    def settle(self, context: int) -> list[tuple[int, int]]:
        stack = self.stacks[context]
        while stack and stack[-1][1] == context and stack[-1][0] in self.detached:
            stack.pop()
        return stack

    def attach(self, context: int, frame: int) -> None:
        self.settle(context).append((frame, context))

    def detach(self, context: int, frame: int) -> None:
        if frame not in self.detached:
            self.detached.add(frame)
            if self.stacks[context] and self.stacks[context][-1][0] == frame:
                self.stacks[context].pop()

    def get(self, context: int) -> object:
        stack = self.settle(context)
        return stack[-1][0] if stack else "default"


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_do_as_the_model(seed: int) -> None:
    chance, of, model = random.Random(seed), frames(), Model()
    contexts, tokens = [contextvars.Context()], list[Any]()
    for _ in range(200):
        number = chance.randrange(len(contexts))
        run: Callable[..., Any] = contexts[number].run
        match chance.choice(["attach", "attach", "detach", "detach", "copy", "get", "get"]):
            case "attach":
                model.attach(number, len(tokens))
                tokens.append(run(of.attach, len(tokens)))
            case "detach" if tokens:
                which = chance.randrange(max(0, len(tokens) - 6), len(tokens))
                model.detach(number, which)
                run(of.detach, tokens[which])
            case "copy" if len(contexts) < 6:
                contexts.append(contexts[number].copy())
                model.stacks.append(list(model.stacks[number]))
        for each, context in enumerate(contexts):
            if chance.random() < 0.3:
                assert context.run(of.get_current) == model.get(each), seed
