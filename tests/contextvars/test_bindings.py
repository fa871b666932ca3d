"""`Context.bindings` and `Context.diff`: the maps of contexts, which no edit changes."""

from __future__ import annotations

import contextvars
import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import Map, MapDiff


def test_bindings_are_a_map_that_later_changes_leave_alone() -> None:
    variable, other = ctxvars.ContextVar[object]("v"), ctxvars.ContextVar[object]("other")

    def inside() -> None:
        before = ctxvars.copy_context()
        assert before.bindings == {}
        variable.set([1])
        after = ctxvars.copy_context()
        assert type(after.bindings) is Map
        assert after.bindings == {variable: [1]} == dict(after)
        assert after.bindings[variable] is variable.get()
        other.set(2)
        variable.set([3])
        last = ctxvars.copy_context()
        found = after.diff(last)
        assert type(found) is MapDiff
        assert found.added == {other: 2}
        assert found.changed == {variable: ([1], [3])}
        assert found.removed == last.diff(after).added == {} or found.removed == {}
        assert last.diff(before).removed == last.bindings
        assert not after.diff(after.copy())
        # The map stays as it is when the context changes.
        kept = last.bindings
        last.run(variable.set, 4)
        assert kept[variable] == [3]
        assert last.bindings[variable] == 4
        assert after.bindings.apply(found) == kept
        assert gc.is_tracked(after.bindings)
        with pytest.raises(TypeError):
            after.diff({})  # type: ignore[arg-type]

    contextvars.Context().run(inside)


def variables_of(count: int) -> tuple[list[ctxvars.ContextVar[Any]], Map[Any, Any]]:
    """Return that many variables, and the only reference to the bindings of a context with them."""
    variables = [ctxvars.ContextVar[Any](f"v{number}") for number in range(count)]

    def inside() -> Map[Any, Any]:
        for variable in variables:
            variable.set([variable])
            variable.get()
        return ctxvars.copy_context().bindings

    return variables, ctxvars.Context().run(inside)


EDITS: dict[str, Callable[[Any], object]] = {
    "replace": lambda m: m.set(next(iter(m)), "new"),
    "delete": lambda m: m.popitem(),
    "add": lambda m: m.set("no variable", []),
    "clear": lambda m: m.clear(),
    "update": lambda m: m.update(dict.fromkeys(range(30))),
}


@pytest.mark.parametrize("size", [2, 16, 17, 100])
@pytest.mark.parametrize("name", EDITS)
def test_mutations_leave_contexts_alone(name: str, size: int) -> None:
    """Contexts reuse the nodes that a mutation frees, and rely on their state."""
    for _ in range(3):
        mutation = Map({number: [number] for number in range(size)}).mutate()
        EDITS[name](mutation)
        del mutation
        variables, found = variables_of(size)
        assert found == {variable: [variable] for variable in variables}
        # The bindings themselves, which have no other owner now, are edited in place.
        mutation = found.mutate()
        del found
        EDITS[name](mutation)
        edited = mutation.finish()
        variables, found = variables_of(size)
        assert found == {variable: [variable] for variable in variables}
        assert len(edited) >= size - 1 or name == "clear"


@pytest.mark.parametrize("shared", [True, False], ids=["copied nodes", "nodes edited in place"])
@pytest.mark.parametrize("name", [name for name in EDITS if name != "clear"])
def test_a_map_cannot_replace_a_context(name: str, shared: bool) -> None:
    """A map cannot replace the bindings of a context, even if it was made from bindings."""
    variables, found = variables_of(3)
    mutation = found.mutate()
    kept = found if shared else None
    del found
    EDITS[name](mutation)
    edited = mutation.finish()

    def inside() -> None:
        variables[0].set("here")
        (root,) = contextvars.copy_context()
        root.set(edited)
        for use in (
            variables[0].get,
            lambda: variables[1].get("default"),
            lambda: variables[2].set(1),
            lambda: list(ctxvars.copy_context()),
            lambda: ctxvars.copy_context().bindings,
        ):
            with pytest.raises(RuntimeError, match="set by other code"):
                use()

    contextvars.Context().run(inside)
    assert kept is None or kept == {variable: [variable] for variable in variables}


def test_hashes_of_the_variables_follow_their_changes() -> None:
    """Maps and nodes cache their hashes, and the context changes later."""
    variables = [ctxvars.ContextVar[int](f"v{number}") for number in range(60)]
    chance = random.Random(1)

    def inside() -> None:
        content: dict[Any, int] = {}
        kept: list[tuple[Any, int]] = []
        for number in range(500):
            variable = chance.choice(variables[: chance.choice([3, 17, 60])])
            token = variable.set(number)
            if chance.random() < 0.3:
                variable.reset(token)
            else:
                content[variable] = number
            found = ctxvars.copy_context().bindings
            assert hash(found) == hash(frozenset(content.items()))
            if chance.random() < 0.1:
                kept.append((weakref.ref(found), hash(found)))
            del found
            assert all(weak() is None or hash(weak()) == expected for weak, expected in kept)

    ctxvars.Context().run(inside)
