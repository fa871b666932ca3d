"""Code that runs in the middle of an operation, and sets variables: nothing is lost or stale."""

from __future__ import annotations

import contextvars
import functools
import gc
import itertools
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar, copy_context
from tests.support.in_place import (
    NOISE,
    OTHERS,
    ROOT,
    Pair,
    cell,
    check_all,
    fresh,
    hamt,
    named,
    only_in_place,
    pairs,
    root_of_map,
)
from tests.support.subprocesses import in_subprocess

SIZES = [1, 16, 17, 120]


class Acts:
    """Calls a function when it is freed."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def __del__(self) -> None:
        self.action()


class Actions:
    """What a finaliser or a callback does to pairs of variables."""

    def __init__(self, made: list[Pair]) -> None:
        self.first, self.last = made[0], made[-1]
        self.new = Pair("new")
        self.tokens = self.last.set(["by the token"])
        self.last.set(["after the token"])
        self.calls = 0

    def run(self, name: str) -> None:
        self.calls += 1
        getattr(self, name)()

    def sets_the_first(self) -> None:
        self.first.set(["by a finaliser"])

    def sets_the_last(self) -> None:
        self.last.set(["by a finaliser"])

    def sets_another(self) -> None:
        self.new.set(["by a finaliser"])

    def sets_many(self) -> None:
        for number in range(40):
            ContextVar(f"new {number}").set([number])
        for variable in [*copy_context()]:
            if variable.name.startswith("new "):
                variable.delete()

    def deletes(self) -> None:
        self.first.delete()

    def resets(self) -> None:
        self.last.reset(self.tokens)

    def copies(self) -> None:
        copy = copy_context()
        copy.run(self.first.set, ["in the copy"])
        self.first.check_in(copy.native)

    def runs_in_a_copy(self) -> None:
        for _ in range(20):
            copy_context().run(self.last.set, ["in the copy"])

    def sets_natives(self) -> None:
        for other in OTHERS[:30]:
            other.set([self.calls])

    def sets_the_root(self) -> None:
        """Other code that puts the present value there again."""
        found = contextvars.copy_context().get(ROOT)
        if found is not None:
            ROOT.set(found)

    def collects(self) -> None:
        gc.collect()

    def enters_a_scope(self) -> None:
        with self.first.ours.scope(["in a scope"]):
            ContextVar[int]("in a scope").set(1)
        for variable in [*copy_context()]:
            if variable.name == "in a scope":
                variable.delete()

    def reads(self) -> None:
        for pair in (self.first, self.last, self.new):
            pair.check()


ACTIONS = [name for name in vars(Actions) if not name.startswith("_") and name != "run"]


def dies_by_set(pair: Pair, value: object) -> None:
    pair.set(value)
    del value
    pair.set(["later"])


def dies_with_its_token(pair: Pair, value: object) -> None:
    pair.set(value)
    del value
    tokens = pair.set(["later"])
    pair.check()
    del tokens


def dies_by_reset(pair: Pair, value: object) -> None:
    tokens = pair.set(value)
    del value
    pair.reset(tokens)


def dies_by_reset_after_others(pair: Pair, value: object) -> None:
    tokens = pair.set(value)
    del value
    ContextVar("later").set([1])
    copy = copy_context()
    pair.reset(tokens)
    del copy


def dies_by_delete(pair: Pair, value: object) -> None:
    pair.set(value)
    del value
    pair.delete()


def dies_with_a_scope(pair: Pair, value: object) -> None:
    with pair.ours.scope(value):
        del value
        ContextVar("inside").set([1])


def dies_when_shared(pair: Pair, value: object) -> None:
    pair.set(value)
    del value
    copy = copy_context()
    pair.set(["later"])
    del copy


def dies_in_the_pool(pair: Pair, value: object) -> None:
    for _ in range(3):
        copy_context().run(pair.set, value)
    del value


def dies_with_a_map(pair: Pair, value: object) -> None:
    pair.set(value)
    del value
    bindings = copy_context().bindings
    pair.set(["later"])
    del bindings


DEATHS = [
    dies_by_set,
    dies_with_its_token,
    dies_by_reset,
    dies_by_reset_after_others,
    dies_by_delete,
    dies_with_a_scope,
    dies_when_shared,
    dies_in_the_pool,
    dies_with_a_map,
]


@pytest.mark.parametrize("die", DEATHS, ids=lambda it: it.__name__)
@pytest.mark.parametrize("action", ACTIONS)
def test_finalisers_set_variables(action: str, die: Callable[[Pair, object], None]) -> None:
    for noise in (0, 20):
        for size in SIZES:
            context, made = fresh(noise, size)
            actions = context.run(Actions, made)
            for pair in {made[0], made[-1]}:
                before = actions.calls
                value = Acts(lambda actions=actions: actions.run(action))  # type: ignore[misc]
                arguments = [value]
                del value
                context.run(lambda: die(pair, arguments.pop()))  # noqa: B023
                assert actions.calls == before + 1
                leftovers(context)
                check_all(context, [*made, actions.new])


def leftovers(context: Context) -> None:
    """Delete the variables that have no native counterpart."""
    for variable in [*context]:
        if variable.name in ("later", "inside"):
            context.run(variable.delete)


def with_callback(found: Any, action: Callable[[], object]) -> Any:
    return weakref.ref(found, lambda _: action())


def watch(context: Context, what: str, action: Callable[[], object]) -> Any:
    """A weak reference to something of the current context, which dies here or by a change."""
    copies = copy_context(), contextvars.copy_context()
    match what:
        case "map":
            return with_callback(root_of_map(context.native), action)
        case "map of a copy":
            return with_callback(copies[0].bindings, action)
        case "copy":
            return with_callback(copies[0], action)
        case _:
            return with_callback(copies[1], action)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("what", ["map", "copy", "native copy", "map of a copy"])
def test_callbacks_of_weak_references_set_variables(what: str, action: str) -> None:
    for noise in (0, 20, 300):
        for size in SIZES:
            context, made = fresh(noise, size)
            actions = context.run(Actions, made)

            def inside() -> None:
                reference = watch(context, what, lambda: actions.run(action))  # noqa: B023
                for number in range(3):
                    made[0].set([number])  # noqa: B023
                    made[-1].reset(made[-1].set([number]))  # noqa: B023
                    Pair("extra").set([number])
                del reference

            context.run(inside)
            for variable in [*context]:
                if variable.name == "extra":
                    context.run(variable.delete)
            check_all(context, [*made, actions.new])
            assert actions.calls <= 1 + (what == "copy")


@only_in_place
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noise", NOISE)
def test_a_callback_of_a_hamt_sets_variables(noise: int, size: int) -> None:
    """The old HAMT dies in the middle of a change.

    A native `set` crashes here: it drops the old HAMT before it writes the cache of the variable.
    """
    context, made = fresh(noise, size)
    first = made[0].ours
    marker, second = ContextVar[Any]("marker"), ContextVar[Any]("second")
    changes: list[Callable[[], object]] = [
        lambda: first.set(["new"]),
        lambda: second.set(["new"]),
        lambda: second.delete(),
        lambda: ContextVar("third").set(["new"]),
    ]

    def callback(seen: list[object], may_set_first: bool) -> None:
        seen.append({variable: variable.get(None) for variable in copy_context()})
        marker.set(["callback"])
        if may_set_first:
            first.set(["callback"])

    def inside(change: Callable[[], object], may_set_first: bool) -> None:
        seen: list[object] = []
        second.set([second.name])
        act = functools.partial(callback, seen, may_set_first)
        reference = with_callback(hamt(context.native), act)
        change()
        del reference
        assert marker.get() == ["callback"]
        assert len(seen) == 1
        if may_set_first:
            # The callback runs when the change has been made.
            assert first.get() == ["callback"]
        assert copy_context()[first] is first.get()
        for variable, value in copy_context().items():
            assert variable.get() is value

    for change, may_set_first in itertools.product(changes, (False, True)):
        context.run(inside, change, may_set_first)
        context.run(marker.delete)


class Compared:
    """A value whose comparison does something."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self.number, self.action = number, action

    def __eq__(self, other: object) -> bool:
        self.action()
        return isinstance(other, Compared) and other.number == self.number

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self.action()
        return f"Compared({self.number})"


def compare_contexts(context: Context, copy: Context) -> object:
    return context == copy


def compare_native_contexts(context: Context, copy: Context) -> object:
    # Up to CPython 3.15, the comparison does not keep the HAMTs alive (gh-142829).
    kept = hamt(context.native), hamt(copy.native)
    assert len(kept) == 2
    return context.native == copy.native


def compare_copies(context: Context, copy: Context) -> object:
    return copy == copy_context(), copy_context() == copy


def compare_cells(context: Context, copy: Context) -> object:
    return cell(context.native) == cell(copy.native)


def compare_cell_and_map(context: Context, copy: Context) -> object:
    return cell(context.native) == copy.bindings, copy.bindings == cell(context.native)


def compare_maps(context: Context, copy: Context) -> object:
    return context.bindings == copy.bindings


def diff_of_contexts(context: Context, copy: Context) -> object:
    return [*context.diff(copy).changed]


def changes(context: Context, copy: Context) -> object:
    return [*ctxvars.changes_since(copy)]


def repr_of_the_cell(context: Context, copy: Context) -> object:
    return len(repr(cell(context.native)))


def repr_of_the_map(context: Context, copy: Context) -> object:
    return len(repr(context.bindings))


def iterate(context: Context, copy: Context) -> object:
    return [repr(value) for _, value in context.items()]


def iterate_natively(context: Context, copy: Context) -> object:
    return [repr(value) for value in context.native.values()]


COMPARISONS = [
    compare_contexts,
    compare_native_contexts,
    compare_copies,
    compare_cells,
    compare_cell_and_map,
    compare_maps,
    diff_of_contexts,
    changes,
    repr_of_the_cell,
    repr_of_the_map,
    iterate,
    iterate_natively,
]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda it: it.__name__)
def test_comparing_values_sets_variables(
    compare: Callable[[Context, Context], object], action: str
) -> None:
    for size in SIZES:
        context, made = fresh(20, size)
        actions = context.run(Actions, made)
        limit = [0]

        def act() -> None:
            if limit[0]:  # noqa: B023
                limit[0] -= 1  # noqa: B023
                actions.run(action)  # noqa: B023

        def fill(act: Callable[[], None] = act) -> None:
            for number, pair in enumerate(made):  # noqa: B023
                pair.set(Compared(number, act))

        context.run(fill)
        copy = Context.wrap(fresh(20, 0)[0].native)
        copy.run(fill)
        check_all(context, made)
        for calls in (1, 3):
            limit[0] = calls
            context.run(compare, context, copy)
            limit[0] = 0
            check_all(context, [*made, actions.new])
            check_all(copy, made)


def collect_at_every_step(noise: int, size: int) -> int:
    """Change variables while finalisers of garbage change others; return how many ran."""
    context, made = fresh(noise, size)
    extra = [ContextVar[Any](f"extra {number}") for number in range(30)]
    calls = 0

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            nonlocal calls
            calls += 1
            extra[calls % 30].set([self])
            extra[calls % 7].reset(extra[calls % 7].set([calls]))
            copy_context().run(extra[0].set, [calls])
            if calls % 3 == 0 and extra[calls % 30].is_set():
                extra[calls % 30].delete()
            # On 3.11, a collection during a native `set` would set it while it is set (gh-148891).
            if sys.version_info >= (3, 12):
                OTHERS[calls % 50].set([calls])

    def inside() -> None:
        for number in range(500):
            Garbage()
            variable = made[number % size].ours
            before = variable.get(None)
            token = variable.set([number])
            assert (token.old_value is before) == (before is not None)
            Garbage()
            copy = copy_context()
            copy.run(variable.set, ["copy"])
            assert (copy[variable], variable.get()) == (["copy"], [number])
            with ctxvars.scope({made[0].ours: 1, made[-1].ours: 2}):
                Garbage()
                assert made[-1].ours.get() == 2
            assert variable.get() == [number]
            if number % 3 == 0:
                variable.reset(token)
                assert variable.get(None) is before
            elif number % 3 == 1:
                variable.delete()
                assert not variable.is_set()

    gc.set_threshold(1, 1, 1)
    context.run(inside)
    gc.collect()
    return calls


@pytest.mark.parametrize("size", [1, 40])
@pytest.mark.parametrize("noise", NOISE)
def test_the_collector_at_every_step(noise: int, size: int) -> None:
    assert in_subprocess(collect_at_every_step, noise, size, timeout=120) >= 1400


def collect_with_cleared_contexts() -> list[object]:
    """Read native contexts that the collector has cleared already."""
    variable, seen = ContextVar[Any]("v"), []

    class Late:
        """Is freed while the collector clears contexts, after the finalisers have run."""

    def look(_: object) -> None:
        for found in gc.get_objects():
            if isinstance(found, contextvars.Context) and not gc.get_referents(found):
                facade = Context.wrap(found)
                seen.append((facade.get(variable), variable in facade, len(facade)))
                seen.append((named(facade.bindings), [*facade.items()], facade == facade))

    class Watches:
        """Makes a weak reference when the collector has decided what to free."""

        def __init__(self, late: Late) -> None:
            self.late = late

        def __del__(self) -> None:
            references.append(weakref.ref(self.late, look))

    references: list[Any] = []
    for _ in range(10):
        holder: list[Any] = []
        late = Late()
        for _ in range(5):
            context = contextvars.Context()
            other = contextvars.Context()
            context.run(variable.set, [holder, other])
            other.run(variable.set, [holder, context, late])
            holder += [context, other]
        watches = Watches(late)
        holder.append(watches)
        late.holder = holder  # type: ignore[attr-defined]
        del holder, late, watches, context, other
        gc.collect()
    return [*seen]


def test_contexts_that_the_collector_has_cleared_are_empty() -> None:
    found = in_subprocess(collect_with_cleared_contexts)
    assert all(it in [(None, False, 0), ({}, [], True)] for it in found)


def clear_contexts_in_a_cycle() -> int:
    """Free cycles of contexts whose facades go into the pool, with all that they had."""
    made = pairs(3)
    for number in range(100):
        contexts = [copy_context() for _ in range(number % 20)]
        for context in contexts:
            context.run(made[0].set, contexts)
            context.run(made[1].set, context.native)
            context.run(made[2].set, [context, context.run(made[0].set, [contexts])])
        if number % 3 == 0:
            del contexts
            gc.collect()
            copy = copy_context()
            copy.run(made[0].set, [number])
            check_all(copy, made)
    gc.collect()
    return len(copy_context())


def test_contexts_in_cycles_are_cleared() -> None:
    assert in_subprocess(clear_contexts_in_a_cycle) == 0


def test_an_iteration_that_sets_each_variable() -> None:
    for size in SIZES:
        context, made = fresh(5, size)
        by_name = {pair.name: pair for pair in made}

        def inside() -> None:
            for variable, value in copy_context().items():
                assert value == [variable.name]
                by_name[variable.name].set(["set"])  # noqa: B023

        context.run(inside)
        check_all(context, made)
