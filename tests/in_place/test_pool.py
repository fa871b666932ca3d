"""Dead facades whose native context no other code has are used again for the next copies."""

from __future__ import annotations

import contextvars
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import ctxvars
from ctxvars import Context, ContextVar, copy_context
from tests.support.builds import IN_PLACE
from tests.support.gc.contexts import holding
from tests.support.gc.values import Value
from tests.support.in_place import ROOT, Pair, fresh, named, only_in_place
from tests.support.new_context import in_a_new_context
from tests.support.subprocesses import in_subprocess

VARIABLE = ContextVar[Any]("v")
OTHER = ContextVar[Any]("other")
LENGTH = 16


def empty_pool() -> list[Context]:
    """Take all contexts out of the pool; it stays empty as long as the result lives."""
    return [copy_context() for _ in range(4 * LENGTH)]


@only_in_place
def test_the_native_context_of_a_dead_facade_is_used_again() -> None:
    kept = empty_pool()
    context = copy_context()
    other = contextvars.copy_context()  # takes the memory that CPython keeps
    native = id(context.native)
    del context
    others = [contextvars.copy_context() for _ in range(3)]
    assert id(copy_context().native) == native
    del kept, other, others


@in_a_new_context
def test_a_reused_context_has_the_values_of_its_source_only() -> None:
    VARIABLE.set(["current"])
    source = Context()
    holding(source, OTHER, ["source"])
    for _ in range(100):
        one = copy_context()
        holding(one, OTHER, ["lost"])
        two = source.copy()
        holding(two, VARIABLE, ["lost"])
        del one, two
        assert named(copy_context()) == {"v": ["current"]}
        assert named(source.copy()) == {"other": ["source"]}
        assert named(copy_context().native.copy()[ROOT]) == {"v": ["current"]}


def keep_facade(context: Context) -> object:
    return context


def keep_native(context: Context) -> object:
    return context.native


def keep_native_and_facade(context: Context) -> object:
    return context, context.native


def keep_another_facade(context: Context) -> object:
    return Context.wrap(context.native)


def keep_token(context: Context) -> object:
    return context.run(OTHER.set, ["token"])


def keep_native_token(context: Context) -> object:
    return context.run(contextvars.ContextVar[Any]("native").set, 1)


def keep_scope(context: Context) -> object:
    scope = OTHER.scope(["scope"])
    context.run(scope.__enter__)
    return scope


def keep_method(context: Context) -> object:
    return context.run


def keep_native_method(context: Context) -> object:
    return context.native.run


def keep_native_weakly(context: Context) -> object:
    return weakref.ref(context.native)


def keep_native_weakly_with_callback(context: Context) -> object:
    def callback(_: object) -> None:
        copy_context().run(VARIABLE.set, ["callback"])

    return weakref.ref(context.native, callback)


def keep_iterator(context: Context) -> object:
    return iter(context.native.items())


def keep_generator(context: Context) -> object:
    def generate() -> Any:
        while True:
            yield

    generator = generate()
    context.run(next, generator)
    return generator, context.native


KEEPERS = [value for name, value in globals().copy().items() if name.startswith("keep_")]
# The context dies all the same.
DYING = [keep_native_weakly, keep_native_weakly_with_callback, keep_iterator]


@pytest.mark.parametrize("keep", KEEPERS, ids=lambda it: it.__name__)
def test_a_context_that_other_code_has_is_not_used_again(keep: Callable[[Context], object]) -> None:
    kept = []
    for number in range(3 * LENGTH):
        context = copy_context()
        holding(context, VARIABLE, [number])
        kept.append(keep(context))
    del context
    for _ in range(3 * LENGTH):
        copies = [copy_context() for _ in range(3)]
        for copy in copies:
            holding(copy, VARIABLE, ["later"])
    for number, found in enumerate(kept):
        natives = natives_of(found)
        assert len(natives) >= (keep not in DYING)
        for native in natives:
            assert Context.wrap(native)[VARIABLE] == [number]


def natives_of(found: object) -> list[contextvars.Context]:
    """The native contexts that are reached from an object."""
    match found:
        case contextvars.Context():
            return [found]
        case weakref.ref():
            return natives_of(found())
        case Context() | contextvars.Token() | tuple():
            return [native for it in gc.get_referents(found) for native in natives_of(it)]
        case None | type():
            return []
    contexts = (Context, contextvars.Context, contextvars.Token)
    referents = [it for it in gc.get_referents(found) if isinstance(it, contexts)]
    return natives_of(tuple(referents))


@pytest.mark.parametrize("wait", [False, True])
def test_weak_references_to_facades_die_with_them(wait: bool) -> None:
    called = []
    context = copy_context()
    reference = weakref.ref(context, called.append)
    native = weakref.ref(context.native) if wait else None
    del context
    assert reference() is None
    assert called == [reference]
    assert native is None or native() is None
    later = copy_context()
    assert reference() is None
    assert weakref.getweakrefcount(later) == weakref.getweakrefcount(later.native) == 0
    again = weakref.ref(later)
    del later
    assert again() is None


def test_a_callback_that_copies_gets_another_context() -> None:
    made = []

    def callback(_: object) -> None:
        copy = copy_context()
        holding(copy, VARIABLE, ["callback"])
        made.append(copy)

    references = []
    for _ in range(3 * LENGTH):
        context = copy_context()
        references.append(weakref.ref(context, callback))
        del context
    assert len({id(copy.native) for copy in made}) == 3 * LENGTH
    assert all(copy[VARIABLE] == ["callback"] for copy in made)


def test_a_context_that_is_entered_is_not_used_again() -> None:
    seen = []

    def inside(facades: list[Context]) -> None:
        VARIABLE.set(["inside"])
        facades.clear()
        copies = [copy_context() for _ in range(2 * LENGTH)]
        for copy in copies:
            holding(copy, VARIABLE, ["copy"])
        seen.append(VARIABLE.get())
        with pytest.raises(RuntimeError, match="already entered"):
            running.run(int)

    # `run` keeps the facade; a native context that is entered by others has no facade.
    running = copy_context().native
    facades = [Context.wrap(running)]
    running.run(inside, facades)
    assert seen == [["inside"]]


def test_a_generator_can_leave_a_facade_while_its_native_context_is_entered() -> None:
    context = copy_context()
    native_run = context.native.run
    facade = [context]
    del context

    def inside() -> Any:
        VARIABLE.set(["inside"])
        del facade[0]
        copies = [copy_context() for _ in range(2 * LENGTH)]
        return VARIABLE.get(), [copy[VARIABLE] for copy in copies]

    value, copied = native_run(inside)
    assert value == ["inside"]
    assert copied == [["inside"]] * (2 * LENGTH)


class Finds:
    """Finds the native context that is being emptied, through the collector, and uses it."""

    found: ClassVar[list[contextvars.Context]] = []
    values: ClassVar[list[weakref.ref[Value]]] = []

    def __init__(self, native: int, keeps: bool, sets: bool) -> None:
        self.native, self.keeps, self.sets = native, keeps, sets

    def __del__(self) -> None:
        for found in gc.get_objects():
            if id(found) == self.native and isinstance(found, contextvars.Context):
                if self.keeps:
                    self.found.append(found)
                if self.sets:
                    value = Value()
                    self.values.append(weakref.ref(value))
                    Context.wrap(found).run(VARIABLE.set, value)


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("is_weak", [False, True])
def test_a_context_that_a_finaliser_finds(is_weak: bool, keeps: bool, sets: bool) -> None:
    Finds.found.clear()
    Finds.values.clear()
    kept = empty_pool()
    for turn in range(1, 4):
        context = copy_context()
        holding(context, OTHER, Finds(id(context.native), keeps, sets))
        reference = weakref.ref(context.native) if is_weak else None
        del context
        # One that is freed is not tracked any more when its values die, so it is not found.
        times = turn if IN_PLACE and not is_weak else 0
        assert len(Finds.found) == times * keeps
        assert [value() is not None for value in Finds.values] == [keeps] * times * sets
        copies = [copy_context() for _ in range(2 * LENGTH)]
        for copy in copies:
            holding(copy, VARIABLE, ["copy"])
        for index, found in enumerate(Finds.found):
            value = Finds.values[index]() if sets else None
            assert Context.wrap(found).get(VARIABLE) is value
            assert OTHER not in Context.wrap(found)
            assert all(copy.native is not found for copy in copies)
        del copies, copy, reference
    del kept
    assert len({id(it) for it in Finds.found}) == len(Finds.found)
    Finds.found.clear()


class Fills:
    """Fills the pool, or takes from it, when it is freed."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        copies = [copy_context() for _ in range(self.number)]
        for copy in copies:
            holding(copy, VARIABLE, [self.number])


@pytest.mark.parametrize("number", [1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH])
def test_finalisers_that_use_the_pool_while_it_empties_a_context(number: int) -> None:
    kept = [empty_pool()]
    for turn in range(10):
        contexts = []
        for inner in range(LENGTH + 2):
            context = copy_context()
            holding(context, OTHER, Fills(number))
            holding(context, VARIABLE, [turn, inner])
            contexts.append(context)
        del context
        if turn == 5:
            kept.clear()
        while contexts:
            contexts.pop()
            copy = copy_context()
            assert VARIABLE.get(None) is copy.get(VARIABLE)
            for inner, left in enumerate(contexts):
                assert left[VARIABLE] == [turn, inner]


class Nested:
    """A value that has a context, which has such a value, and so on."""

    def __init__(self, depth: int) -> None:
        self.context = copy_context()
        if depth:
            holding(self.context, OTHER, Nested(depth - 1))


def drop_nested(depth: int) -> int:
    for _ in range(3):
        value: Any = None
        for _ in range(depth):
            context = copy_context()
            holding(context, OTHER, value)
            value = [context]
        del value, context
    return len(named(copy_context()))


def test_nested_contexts_are_dropped() -> None:
    for _ in range(20):
        Nested(50)
    assert in_subprocess(drop_nested, 100_000) == 0


def test_many_copies_are_all_different() -> None:
    contexts = []
    for number in range(20 * LENGTH):
        context = copy_context()
        holding(context, VARIABLE, [number])
        contexts.append(context)
        if number % 3 == 0:
            del contexts[number // 6]
    numbers = [context[VARIABLE][0] for context in contexts]
    assert sorted({*numbers}) == sorted(numbers)
    assert len({id(context.native) for context in contexts}) == len(contexts)


def test_copies_in_threads_are_all_different() -> None:
    wrong: list[object] = []

    def work(thread: int) -> None:
        VARIABLE.set([thread])
        for number in range(300):
            copies = [copy_context() for _ in range(number % 7 + 1)]
            for index, copy in enumerate(copies):
                holding(copy, OTHER, [thread, index])
            for index, copy in enumerate(copies):
                found = copy[VARIABLE], copy[OTHER], copy.run(VARIABLE.get)
                if found != ([thread], [thread, index], [thread]):
                    wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def cycle_through_a_copy() -> weakref.ref[Value]:
    value, context = Value(), copy_context()
    value.refs = [context]
    holding(context, VARIABLE, value)
    return weakref.ref(value)


@pytest.mark.parametrize("when", ["never", "before", "after", "before and after", "each time"])
def test_cycles_of_reused_contexts_are_collected(when: str) -> None:
    # The collector ignores what is frozen. A context that was frozen in the pool must not stay so.
    kept = empty_pool()
    del kept
    gc.collect()
    try:
        if "before" in when:
            gc.freeze()
        references = []
        for _ in range(3 * LENGTH):
            references.append(cycle_through_a_copy())
            if when == "each time":
                contexts = [copy_context() for _ in range(3)]
                del contexts
                gc.freeze()
                gc.unfreeze()
        gc.collect()
        assert not any(reference() for reference in references)
        for _ in range(3 * LENGTH):
            copy_context()
        if "after" in when:
            gc.freeze()
        references = [cycle_through_a_copy() for _ in range(3 * LENGTH)]
        gc.collect()
        assert not any(reference() for reference in references)
    finally:
        gc.unfreeze()


def test_the_collector_sees_reused_contexts_and_not_those_in_the_pool() -> None:
    for _ in range(3 * LENGTH):
        context = copy_context()
        assert gc.is_tracked(context)
        assert gc.is_tracked(context.native)
        assert context.native in gc.get_referents(context)
        del context
    # `get_objects` returns what is tracked. Contexts in the pool have no references.
    native = copy_context().native
    assert sum(it is native for it in gc.get_objects()) == 1
    contexts = [it for it in gc.get_objects() if isinstance(it, Context)]
    assert all(sys.getrefcount(it) > 1 for it in contexts)


def test_values_die_when_a_context_goes_into_the_pool() -> None:
    for _ in range(3 * LENGTH):
        value, context = Value(), copy_context()
        reference = weakref.ref(value)
        holding(context, VARIABLE, value)
        del value
        assert reference() is not None
        del context
        assert reference() is None


def test_the_source_of_a_copy_owns_its_bindings_again() -> None:
    context, made = fresh(20, 20)
    for _ in range(3 * LENGTH):
        copy = context.copy()
        copy.run(made[0].set, ["copy"])
        context.run(made[1].set, ["source"])
        made[0].check_in(copy.native)
        made[0].check_in(context.native)
        del copy
        context.run(made[0].set, ["again"])
        made[0].check_in(context.native)


def fork_with_a_full_pool() -> int:
    variable = Pair("v")
    contexts = [copy_context() for _ in range(2 * LENGTH)]
    del contexts
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            copies = [copy_context() for _ in range(2 * LENGTH)]
            for copy in copies:
                copy.run(variable.set, [number])
                variable.check_in(copy.native)
            del copies, copy
            gc.collect()
            os._exit(len(copy_context()))
        children.append(child)
        copy_context().run(variable.set, [number])
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_child_process_has_its_own_pool() -> None:
    assert in_subprocess(fork_with_a_full_pool) == 0


def grown() -> list[int]:
    """Blocks that are allocated after each of several floods of copies."""
    found = []
    for _ in range(6):
        for count in (1, LENGTH, 500):
            contexts = [copy_context() for _ in range(count)]
            for context in contexts:
                holding(context, VARIABLE, [count])
                holding(context, OTHER, Fills(20) if count == LENGTH else None)
            del contexts, context
        gc.collect()
        found.append(sys.getallocatedblocks())
    return [after - found[2] for after in found[3:]]


def test_memory_does_not_grow() -> None:
    assert max(in_subprocess(grown)) < 30


def test_running_in_a_copy_does_not_change_the_current_context() -> None:
    pair = Pair("v")

    def inside() -> None:
        pair.set(["outside"])
        for number in range(3 * LENGTH):
            copy_context().run(pair.set, [number])
            pair.check()
            assert ctxvars.copy_context().run(pair.check) == ["outside"]

    contextvars.Context().run(inside)


def left_by_finalisers() -> int:
    """Blocks that are left when finalisers fill the pool while it takes another context."""

    def once() -> None:
        kept = empty_pool()
        context = copy_context()
        holding(context, OTHER, Fills(2 * LENGTH))
        del context, kept

    for _ in range(50):
        once()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(300):
        once()
    gc.collect()
    return sys.getallocatedblocks() - before


def test_a_context_for_which_finalisers_leave_no_room_is_freed() -> None:
    assert in_subprocess(left_by_finalisers) < 50
