"""`Set` against `frozenset`: each operation gives the same elements, result and exception."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ctxvars import Map, Set
from tests.support.map.keys import CUTS, FEW, MANY, cut_key

LIMITS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
OPERATORS = [operator.or_, operator.and_, operator.sub, operator.xor]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
METHODS = ["union", "intersection", "difference", "symmetric_difference"]
TESTS = ["isdisjoint", "issubset", "issuperset"]


def elements(cut: str) -> st.SearchStrategy[list[Any]]:
    few = st.lists(st.sampled_from(FEW).map(lambda it: cut_key(it, cut)), max_size=12)
    step, start = st.integers(1, 4), st.integers(0, 40)
    many = st.builds(lambda a, b: [cut_key(it, cut) for it in MANY[b::a]], step, start)
    return few | st.builds(operator.add, many, few)


def pairs(cut: str) -> st.SearchStrategy[tuple[Set[Any], Set[Any]]]:
    """Generate pairs of sets that share nodes, and pairs that do not."""

    def edit(base: Set[Any], added: list[Any], removed: list[Any]) -> Set[Any]:
        for element in added:
            base = base.add(element)
        for element in removed:
            base = base.discard(element)
        return base

    apart = st.builds(lambda one, other: (Set(one), Set(other)), elements(cut), elements(cut))
    few = elements(cut).map(lambda it: it[:5])
    base = elements(cut).map(Set)
    return apart | st.builds(lambda a, b, c, d: (edit(a, b, c), edit(a, d, b)), base, few, few, few)


def same(found: Iterable[Any], expected: Iterable[Any]) -> bool:
    """Whether both have equal elements, each once."""
    return len([*found]) == len([*expected]) and frozenset(found) == frozenset(expected)


@pytest.mark.parametrize("cut", CUTS)
def test_operators_and_comparisons_of_two_sets_are_those_of_frozensets(cut: str) -> None:
    @given(pairs(cut))
    @LIMITS
    def check(both: tuple[Set[Any], Set[Any]]) -> None:
        one, other = both
        for others in (other, frozenset(other), {*other}, dict.fromkeys(other).keys()):
            for operate in OPERATORS:
                found = operate(one, others)
                assert isinstance(found, Set)
                assert same(found, operate(frozenset(one), frozenset(other)))
                mirrored = operate(others, one)
                assert same(mirrored, operate(frozenset(other), frozenset(one)))
            for compare in COMPARISONS:
                expected = compare(frozenset(one), frozenset(other))
                assert compare(one, others) is expected
                assert compare(others, one) is compare(frozenset(other), frozenset(one))
        assert hash(one) == hash(frozenset(one))
        assert (hash(one) == hash(other)) or one != other

    check()


@pytest.mark.parametrize("cut", CUTS)
def test_methods_take_any_iterables(cut: str) -> None:
    @given(elements(cut), elements(cut))
    @LIMITS
    def check(own: list[Any], others: list[Any]) -> None:
        one, model = Set(own), frozenset(own)
        kinds: list[Callable[[list[Any]], Any]] = [list, iter, set, dict.fromkeys, Set]
        kinds += [frozenset, Map.fromkeys, lambda it: Map.fromkeys(it, 1).keys()]
        for kind in kinds:
            for method in METHODS:
                found = getattr(one, method)(kind(others))
                assert isinstance(found, Set)
                assert same(found, getattr(model, method)(others))
            for test in TESTS:
                assert getattr(one, test)(kind(others)) is getattr(model, test)(others)
        for method in METHODS[:3]:
            found = getattr(one, method)(others, own[:3], Set(others))
            assert same(found, getattr(model, method)(others, own[:3], others))
            assert getattr(one, method)() is one

    check()


class Edits(RuleBasedStateMachine):
    """Derives sets one by one, beside frozensets."""

    cut = "full"

    def __init__(self) -> None:
        super().__init__()
        self.sets: list[tuple[Set[Any], frozenset[Any]]] = [(Set(), frozenset())]

    def keep(self, derived: Set[Any], model: frozenset[Any]) -> None:
        self.sets = [*self.sets[-6:], (derived, model)]

    which = st.integers(0, 100)

    def any(self, number: int) -> tuple[Set[Any], frozenset[Any]]:
        return self.sets[number % len(self.sets)]

    @rule(number=which, payload=st.sampled_from(FEW))
    def add(self, number: int, payload: Hashable) -> None:
        own, model = self.any(number)
        element = cut_key(payload, self.cut)
        derived = own.add(element)
        assert (derived is own) == (element in model)
        self.keep(derived, model | {element})

    @rule(number=which, payload=st.sampled_from(FEW))
    def remove(self, number: int, payload: Hashable) -> None:
        own, model = self.any(number)
        element = cut_key(payload, self.cut)
        if element in model:
            assert own.remove(element) == own.discard(element)
            self.keep(own.remove(element), model - {element})
        else:
            assert own.discard(element) is own
            with pytest.raises(KeyError) as raised:
                own.remove(element)
            assert raised.value.args == (element,)

    @rule(number=which, other=which, which=st.sampled_from(OPERATORS))
    def combine(self, number: int, other: int, which: Any) -> None:
        (left, left_model), (right, right_model) = self.any(number), self.any(other)
        self.keep(which(left, right), which(left_model, right_model))

    @rule(number=which, start=which)
    def union_with_many(self, number: int, start: int) -> None:
        own, model = self.any(number)
        many = [cut_key(payload, self.cut) for payload in MANY[start::3]]
        self.keep(own.union(many), model.union(many))

    @rule(number=which)
    def filter(self, number: int) -> None:
        own, model = self.any(number)
        kept = {element for element in model if hash(element) % 3}
        self.keep(own.filter(lambda element: hash(element) % 3), frozenset(kept))

    @invariant()
    def all_are_as_their_models(self) -> None:
        for own, model in self.sets:
            assert len(own) == len(model)
            assert frozenset(own) == model == own
            assert own == model
            assert hash(own) == hash(model)
            assert all(element in own for element in model)


@pytest.mark.parametrize("cut", CUTS)
def test_edits_are_those_of_frozensets(cut: str) -> None:
    case = type("Case", (Edits,), {"cut": cut}).TestCase  # type: ignore[attr-defined]
    case.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
    case("runTest").runTest()


@given(st.frozensets(st.integers() | st.text() | st.tuples(st.integers(), st.text())))
@LIMITS
def test_copies_and_pickles_are_equal(model: frozenset[Any]) -> None:
    own = Set(model)
    assert own.copy() is copy.copy(own) is copy.deepcopy(own) is own
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(own, protocol))
        assert type(loaded) is Set
        assert loaded == model
