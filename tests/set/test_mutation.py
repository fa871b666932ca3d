"""`SetMutation`: many changes in place, one new set."""

from __future__ import annotations

import gc
import operator
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctxvars import Set
from tests.support.gc.values import Value
from tests.support.map.keys import CUTS, FEW, MANY, cut_key

UPDATES = ["update", "intersection_update", "difference_update", "symmetric_difference_update"]


class Edits(RuleBasedStateMachine):
    """Edits a mutation and a `set` in the same way."""

    cut = "full"

    @initialize(start=st.integers(0, 100))
    def start(self, start: int) -> None:
        self.base = Set(cut_key(payload, self.cut) for payload in MANY[start::2])
        self.before = frozenset(self.base)
        self.mutation, self.model = self.base.mutate(), {*self.base}

    @rule(payload=st.sampled_from(FEW), name=st.sampled_from(["add", "discard", "remove"]))
    def one(self, payload: Any, name: str) -> None:
        element = cut_key(payload, self.cut)
        if name == "remove" and element not in self.model:
            with pytest.raises(KeyError):
                self.mutation.remove(element)
            return
        assert getattr(self.mutation, name)(element) is None
        getattr(self.model, name)(element)

    @rule(
        name=st.sampled_from(UPDATES),
        payloads=st.lists(st.sampled_from(MANY), max_size=100),
        kind=st.sampled_from([list, set, Set, dict.fromkeys]),
    )
    def many(self, name: str, payloads: list[Any], kind: Any) -> None:
        others = [cut_key(payload, self.cut) for payload in payloads]
        getattr(self.mutation, name)(kind(others))
        getattr(self.model, name)(others)

    @rule()
    def pop(self) -> None:
        if self.model:
            self.model.remove(self.mutation.pop())
        else:
            with pytest.raises(KeyError, match="pop from an empty set"):
                self.mutation.pop()

    @rule()
    def finish_and_begin_again(self) -> None:
        self.base = self.mutation.finish()
        self.before = frozenset(self.base)
        self.mutation = self.base.mutate()

    @invariant()
    def has_the_elements_of_the_model(self) -> None:
        if hasattr(self, "mutation"):
            assert self.mutation == self.model
            assert self.model == self.mutation
            assert len(self.mutation) == len([*self.mutation]) == len(self.model)
            assert self.base == self.before


@pytest.mark.parametrize("cut", CUTS)
def test_edits_are_those_of_a_set(cut: str) -> None:
    case = type("Case", (Edits,), {"cut": cut}).TestCase
    case.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
    case("runTest").runTest()


def test_a_finished_mutation_can_be_read_but_not_changed() -> None:
    with Set("ab").mutate() as mutation:
        mutation.add("c")
    assert mutation.finish() == mutation.finish() == {"a", "b", "c"}
    changes = [lambda: mutation.add("d"), lambda: mutation.discard("a"), mutation.pop]
    changes += [mutation.clear, lambda: mutation.update("d"), mutation.__enter__]
    for change in changes:
        with pytest.raises(ValueError, match=r"SetMutation\(\{.*\}\) has been finished"):
            change()
    assert mutation == {"a", "b", "c"}


def test_an_update_that_fails_changes_nothing() -> None:
    mutation = Set("ab").mutate()
    for name in UPDATES:
        with pytest.raises(TypeError, match="unhashable"):
            getattr(mutation, name)(["c", []])
    assert mutation.finish() == {"a", "b"}


def test_changes_during_iteration_raise() -> None:
    mutation = Set(range(10)).mutate()
    iterator = iter(mutation)
    next(iterator)
    mutation.add("new")
    with pytest.raises(RuntimeError, match="SetMutation changed during iteration"):
        next(iterator)


def test_an_element_that_always_edits_the_mutation_while_it_is_compared_is_refused() -> None:
    class Editing:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            mutation.add(object())
            return False

    mutation = Set([Editing()]).mutate()
    with pytest.raises(RuntimeError, match="SetMutation changed during the comparison"):
        mutation.add(Editing())


def test_comparisons_and_representation() -> None:
    mutation, other = Set("ab").mutate(), Set("abc").mutate()
    assert mutation == Set("ab").mutate() == {"a", "b"}
    assert mutation < other
    assert other >= {"a"}
    assert Set("ab") == mutation
    assert repr(Set([1]).mutate()) == "ctxvars.SetMutation({1})"
    assert repr(Set().mutate()) == "ctxvars.SetMutation({})"
    assert {1} in Set([frozenset([1])]).mutate()
    with pytest.raises(TypeError, match="unhashable"):
        hash(mutation)
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(mutation)
    with pytest.raises(TypeError, match="not supported"):
        operator.lt(mutation, 1)


def test_cycles_through_a_mutation_are_collected() -> None:
    value = Value()
    mutation = Set().mutate()
    mutation.add(value)
    value.refs = [mutation, iter(mutation)]
    alive = weakref.ref(value), weakref.ref(mutation)
    del value, mutation
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
