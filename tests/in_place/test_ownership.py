"""A change in a context is invisible to all who have a part of the path to its bindings.

The path is: native context, HAMT, nodes, cell, map, nodes of the map. Each holder keeps something
that was got from one of them, by public functions or by `gc`.
"""

from __future__ import annotations

import contextvars
import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from tests.support.in_place import (
    NOISE,
    OTHERS,
    ROOT,
    Pair,
    cell,
    check_all,
    depths,
    fresh,
    hamt,
    is_set_in_place,
    named,
    nodes_of,
    nodes_to_root,
    only_in_place,
    root_of_map,
    values_below,
)

# A map of one leaf, the largest one, one with branches, and one with two levels of branches.
SIZES = [1, 16, 17, 120]
Read = Callable[[], dict[str, Any]]
Holder = Callable[[ctxvars.Context], Read]
HOLDERS: dict[str, Holder] = {}


def holder(hold: Holder) -> Holder:
    HOLDERS[hold.__name__] = hold
    return hold


def named_pairs(items: Any) -> dict[str, Any]:
    return {variable.name: value for variable, value in items}


@holder
def native_copy(context: ctxvars.Context) -> Read:
    copy = context.native.copy()
    return lambda: named(ctxvars.Context.wrap(copy))


@holder
def copy_of_ours(context: ctxvars.Context) -> Read:
    copy = context.copy()
    return lambda: named(copy)


@holder
def copy_made_inside(context: ctxvars.Context) -> Read:
    copy = context.run(ctxvars.copy_context)
    return lambda: named(copy)


@holder
def native_copy_made_inside(context: ctxvars.Context) -> Read:
    copy = context.run(contextvars.copy_context)
    return lambda: named(copy[ROOT])


@holder
def copy_read_by_get(context: ctxvars.Context) -> Read:
    copy = context.copy()
    variables = [*copy]
    return lambda: {it.name: copy.run(it.get) for it in variables}


@holder
def copy_that_has_diverged(context: ctxvars.Context) -> Read:
    """The copy has another HAMT, whose nodes are shared, but for one path."""
    copy = context.copy()
    copy.run(OTHERS[0].set, None)
    return lambda: named(copy)


@holder
def copies_that_have_diverged(context: ctxvars.Context) -> Read:
    """One copy for each of some paths, so that one of them shares all nodes but the first."""
    copies = [context.copy() for _ in range(40)]
    for copy, other in zip(copies, OTHERS, strict=False):
        copy.run(other.set, None)

    def read() -> dict[str, Any]:
        found = [named(copy) for copy in copies]
        assert found.count(found[0]) == len(found)
        return found[0]

    return read


@holder
def copy_before_native_sets(context: ctxvars.Context) -> Read:
    """The context has another HAMT then, whose nodes are shared, but for one path."""
    copy = context.copy()
    context.run(OTHERS[0].set, None)
    return lambda: named(copy)


@holder
def copy_before_a_native_reset(context: ctxvars.Context) -> Read:
    token = context.run(OTHERS[1].set, None)
    copy = context.copy()
    context.run(OTHERS[1].reset, token)
    return lambda: named(copy)


@holder
def copy_of_a_copy(context: ctxvars.Context) -> Read:
    copy = context.copy().native.copy()
    return lambda: named(ctxvars.Context.wrap(copy))


@holder
def native_iterator(context: ctxvars.Context) -> Read:
    values = iter(context.native.values())
    found: list[Any] = []

    def read() -> dict[str, Any]:
        # Afterwards the iterator is at its end, and keeps nothing: it is read once.
        found.extend(values)
        (bindings,) = [it for it in found if type(it) is type(cell(context.native))]
        return named(bindings)

    return read


@holder
def iterator_of_items(context: ctxvars.Context) -> Read:
    items, found = iter(context.items()), {}
    return lambda: found | named_pairs(items)


@holder
def iterator_half_way(context: ctxvars.Context) -> Read:
    items = iter(context.items())
    found = named_pairs([next(items)])

    def read() -> dict[str, Any]:
        found.update(named_pairs(items))
        return found

    return read


@holder
def hamt_from_the_collector(context: ctxvars.Context) -> Read:
    found = hamt(context.native)
    return lambda: values_below(found)


def node_from_the_collector(depth: int) -> Holder:
    def hold(context: ctxvars.Context) -> Read:
        nodes = nodes_to_root(context.native)
        node = nodes[min(depth, len(nodes) - 1)]
        del nodes
        return lambda: values_below(node)

    return hold


for depth in range(4):
    HOLDERS[f"node {depth} from the collector"] = node_from_the_collector(depth)


@holder
def the_cell(context: ctxvars.Context) -> Read:
    found = cell(context.native)
    return lambda: named(found)


@holder
def the_cell_read_by_subscripts(context: ctxvars.Context) -> Read:
    found, variables = cell(context.native), [*context]
    return lambda: {it.name: found[it] for it in variables if it in found}


@holder
def views_of_the_cell(context: ctxvars.Context) -> Read:
    found = cell(context.native)
    items, keys, values = found.items(), found.keys(), found.values()
    del found

    def read() -> dict[str, Any]:
        assert named_pairs(items) == named_pairs(zip(keys, values, strict=True))
        return named_pairs(items)

    return read


@holder
def iterator_of_the_cell(context: ctxvars.Context) -> Read:
    found = iter(cell(context.native).items())
    read: dict[str, Any] = {}
    return lambda: read | named_pairs(found)


@holder
def the_cell_as_an_old_native_value(context: ctxvars.Context) -> Read:
    token = context.run(ROOT.set, cell(context.native))
    return lambda: named(token.old_value)


@holder
def the_cell_in_another_context(context: ctxvars.Context) -> Read:
    other = ctxvars.Context()
    other.run(ROOT.set, cell(context.native))
    return lambda: named(other)


@holder
def the_map(context: ctxvars.Context) -> Read:
    bindings = context.bindings
    return lambda: named(bindings)


@holder
def a_derived_map(context: ctxvars.Context) -> Read:
    """It shares the nodes below the root, but for one path."""
    added = ctxvars.ContextVar[Any]("added")
    bindings = context.bindings.set(added, 1)
    return lambda: named(bindings.delete(added))


@holder
def a_map_with_one_value_replaced(context: ctxvars.Context) -> Read:
    first, value = next(iter(context.items()))
    bindings = context.bindings.set(first, None)
    return lambda: named(bindings.set(first, value))


@holder
def referents_of_the_cell(context: ctxvars.Context) -> Read:
    bindings = root_of_map(context.native)
    return lambda: named(bindings)


@holder
def nodes_of_the_map(context: ctxvars.Context) -> Read:
    """All nodes but the root. Each has keys and values in turn, or other nodes."""
    nodes = nodes_of(context.bindings)
    if len(nodes) > 1:
        del nodes[0]

    def read() -> dict[str, Any]:
        found = {}
        for node in nodes:
            referents = gc.get_referents(node)
            found |= {
                key.name: value
                for pair in itertools.pairwise(referents)
                for key, value in (pair, pair[::-1])
                if isinstance(key, ctxvars.ContextVar) and isinstance(value, list)
                if value[0] == key.name
            }
        return found

    return read


def weak(found: Any, read: Callable[[Any], dict[str, Any]]) -> Read:
    """What a weakly referenced object has; if it is gone, what it had."""
    reference, before = weakref.ref(found), read(found)

    def read_weakly() -> dict[str, Any]:
        alive = reference()
        return before if alive is None else read(alive)

    return read_weakly


@holder
def weak_reference_to_the_map(context: ctxvars.Context) -> Read:
    return weak(context.bindings, named)


@holder
def weak_reference_to_the_hamt(context: ctxvars.Context) -> Read:
    return weak(hamt(context.native), values_below)


@holder
def weak_reference_to_a_copy(context: ctxvars.Context) -> Read:
    return weak(context.copy(), named)


@holder
def an_entered_scope(context: ctxvars.Context) -> Read:
    """It has the bindings from before it was entered."""
    before = named(context.bindings)
    # A scope of one variable keeps only the value of this variable.
    one, two = (ctxvars.ContextVar[Any]("in the scope") for _ in range(2))
    scope = ctxvars.scope({one: 1, two: 2})
    context.run(scope.__enter__)
    (bindings,) = [it for it in gc.get_referents(scope) if isinstance(it, ctxvars.Map)]
    reference = weakref.ref(bindings)
    del bindings
    assert named(reference() or {}) == before

    def read() -> dict[str, Any]:
        found = reference()
        assert found is not None
        assert scope is not None
        return named(found)

    return read


@holder
def a_snapshot(context: ctxvars.Context) -> Read:
    snapshot = context.run(ctxvars.snapshot)
    return lambda: named(snapshot.bindings)


@holder
def run_in_a_snapshot(context: ctxvars.Context) -> Read:
    snapshot, variables = context.run(ctxvars.snapshot), [*context]
    return lambda: {it.name: snapshot.run(it.get) for it in variables}


@holder
def a_bound_function(context: ctxvars.Context) -> Read:
    variables = [*context]
    return context.run(ctxvars.bind, lambda: {it.name: it.get() for it in variables})


@holder
def a_generator(context: ctxvars.Context) -> Read:
    """A native copy is entered and left, again and again."""
    copy = context.native.copy()

    def generate() -> Any:
        while True:
            yield copy.run(lambda: named(ctxvars.copy_context()))

    generator = generate()
    return lambda: next(generator)


@holder
def an_isolated_generator(context: ctxvars.Context) -> Read:
    def generate() -> Any:
        while True:
            yield named(ctxvars.copy_context())

    generator = ctxvars.isolated(generate)()
    context.run(next, generator)
    return lambda: next(generator)


@holder
def changes(context: ctxvars.Context) -> Read:
    found = context.run(ctxvars.changes_since, ctxvars.Context())
    return lambda: named(found.to_diff().added)


# The edits, each done to both variables of a pair, in the context.


class Edited:
    """Edits of some pairs, for which tokens were made before."""

    def __init__(self, made: list[Pair]) -> None:
        self.first, self.last = made[0], made[-1]
        self.new = Pair("new")
        self.tokens = self.first.set(["before"])
        self.first_token = self.new.set(["first"])
        self.first.reset(self.tokens)
        self.tokens = self.last.set([self.last.name])


def set_one(edited: Edited) -> None:
    edited.first.set(["set"])


def set_all_again(edited: Edited) -> None:
    for pair in (edited.first, edited.last, edited.new):
        pair.set(["again"])


def set_another(edited: Edited) -> None:
    another = ctxvars.ContextVar[Any]("another")
    another.set([1])
    another.delete()


def set_many(edited: Edited) -> None:
    tokens = [(pair, pair.set([1])) for pair in map(Pair, map(str, range(50)))]
    for pair, token in reversed(tokens):
        pair.reset(token)


def reset(edited: Edited) -> None:
    edited.last.reset(edited.tokens)


def reset_the_first(edited: Edited) -> None:
    edited.new.reset(edited.first_token)


def delete(edited: Edited) -> None:
    for pair in (edited.new, edited.first):
        pair.delete()


def set_and_reset(edited: Edited) -> None:
    edited.first.reset(edited.first.set(["set"]))


def delete_and_reset(edited: Edited) -> None:
    tokens = edited.first.delete()
    assert tokens is not None
    edited.first.reset(tokens)


def scope(edited: Edited) -> None:
    with edited.first.ours.scope(["in a scope"]), ctxvars.ContextVar[int]("new").scope(1):
        pass


def scope_of_many(edited: Edited) -> None:
    with ctxvars.scope({edited.first.ours: 1, edited.last.ours: 2, edited.new.ours: 3}):
        edited.last.ours.reset(edited.last.ours.set(4))


def apply_changes(edited: Edited) -> None:
    before, copy = ctxvars.snapshot(), ctxvars.copy_context()
    copy.run(edited.last.ours.set, ["applied"])
    copy.run(ctxvars.changes_since, before).apply()
    edited.last.native.set(edited.last.ours.get())


def default_factory(edited: Edited) -> None:
    ctxvars.ContextVar("made", default_factory=list).get().append(1)


EDITS = [
    set_one,
    set_all_again,
    set_another,
    set_many,
    reset,
    reset_the_first,
    delete,
    set_and_reset,
    delete_and_reset,
    scope,
    scope_of_many,
    apply_changes,
    default_factory,
]


def check_edit(hold: Holder, edit: Callable[[Edited], None], noise: int, size: int) -> None:
    context, made = fresh(noise, size)
    edited = context.run(Edited, made)
    before = named(context.bindings)
    read = hold(context)
    context.run(edit, edited)
    expected = read()
    if hold is nodes_of_the_map:
        before = {name: value for name, value in before.items() if name in expected}
        assert len(before) >= size - 2
    check_all_but_extra(context, [*made, edited.new])
    assert expected == before
    assert all(expected[name] is before[name] for name in expected)
    del read
    # Without the holder, the context owns its cell again, after at most one more edit.
    for value in ([1], [2], [3]):
        context.run(edited.first.set, value)
    context.run(edited.last.set, value)
    check_all_but_extra(context, [*made, edited.new])


def check_all_but_extra(context: ctxvars.Context, made: list[Pair]) -> None:
    for extra in [it for it in context if it.name == "in the scope"]:
        context.run(extra.delete)
    check_all(context, made)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("hold", HOLDERS)
def test_an_edit_does_not_change_what_is_held(hold: str, noise: int) -> None:
    for size in SIZES:
        for edit in EDITS:
            check_edit(HOLDERS[hold], edit, noise, size)


def test_paths_have_several_lengths() -> None:
    found = [*depths()]
    assert min(found) == 1
    assert max(found) > 1


@only_in_place
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("size", SIZES)
def test_a_context_that_owns_its_cell_is_edited_in_place(noise: int, size: int) -> None:
    context, made = fresh(noise, size)
    for pair in made:
        assert is_set_in_place(context, pair.ours, ["once"])
        assert is_set_in_place(context, pair.ours, ["twice"])


# These do not share the nodes on the path of each variable, or share none.
NOT_SHARING = {
    "a_derived_map",
    "a_map_with_one_value_replaced",
    "an_entered_scope",
    "weak_reference_to_a_copy",
}


@only_in_place
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("hold", sorted({*HOLDERS} - NOT_SHARING))
def test_what_is_held_is_not_edited_in_place(hold: str, noise: int) -> None:
    context, made = fresh(noise, 40)
    read = HOLDERS[hold](context)
    assert not is_set_in_place(context, made[0].ours, ["once"])
    # The edit has copied what was shared with the holder.
    if hold not in ("the_cell_as_an_old_native_value", "copy_that_has_diverged"):
        assert is_set_in_place(context, made[0].ours, ["twice"])
    del read
