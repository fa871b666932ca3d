"""The type `Set`: its constructor, protocols, and the cost of its operations."""

from __future__ import annotations

import collections.abc
import copy
import operator
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from ctxvars import Map, Set

OPERATORS = [operator.or_, operator.and_, operator.sub, operator.xor]


class Abstract(collections.abc.Set[int]):
    """A set with nothing but what `collections.abc.Set` asks for."""

    def __init__(self, elements: Any) -> None:
        self.elements = [*elements]

    def __contains__(self, element: object) -> bool:
        return element in self.elements

    def __iter__(self) -> Iterator[int]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)


class Counted:
    """An element that counts its comparisons and hashes."""

    calls = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        Counted.calls += 1
        return hash(str(self.number))

    def __eq__(self, other: object) -> bool:
        Counted.calls += 1
        return isinstance(other, Counted) and other.number == self.number


def test_the_constructor_takes_one_iterable() -> None:
    assert Set() == Set([]) == Set(iter(())) == frozenset()
    assert Set("abca") == {"a", "b", "c"}
    one = Set("ab")
    assert Set(one) is one
    assert Set(Map(a=1, b=2)) == Set(Map(a=1, b=2).keys()) == one
    with pytest.raises(TypeError, match="Set expected at most 1 argument, got 2"):
        Set(1, 2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        Set(iterable=())  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not iterable"):
        Set(1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        Set([[]])


def test_an_unhashable_element_is_named_as_in_a_frozenset() -> None:
    for call in (Set, Set("a").add, Set("a").__contains__, Set("a").union, Set("a").intersection):
        argument: Any = [] if call in (Set("a").add, Set("a").__contains__) else [[]]
        with pytest.raises(TypeError) as raised:
            call(argument)
        with pytest.raises(TypeError) as expected:
            frozenset([[]])
        assert str(raised.value) == str(expected.value)


def test_it_is_an_abstract_set_and_no_mutable_one() -> None:
    assert isinstance(Set(), collections.abc.Set)
    assert not isinstance(Set(), collections.abc.MutableSet)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (Set,), {})
    match Set("a"):
        case Set():
            pass
        case _:
            raise AssertionError


def test_the_repr_is_an_expression() -> None:
    assert repr(Set()) == "ctxvars.Set()"
    assert repr(Set([1])) == "ctxvars.Set({1})"
    assert repr(Set([("a",)])) == "ctxvars.Set({('a',)})"
    import ctxvars

    large = Set(range(100))
    assert eval(repr(large), {"ctxvars": ctxvars}) == large


def test_generic_alias() -> None:
    assert str(Set[int]) == "ctxvars.Set[int]"


def test_abstract_sets_are_compared_by_their_elements() -> None:
    own = Set(range(3))
    assert own == Abstract(range(3))
    assert Abstract(range(3)) == own
    assert own < Abstract(range(4))
    assert Abstract(range(4)) > own
    assert own >= Abstract([1])
    assert not own <= Abstract([1])
    assert own != Abstract([0, 1, 5])
    assert own | Abstract([7]) == {0, 1, 2, 7}
    assert type(own | Abstract([7])) is Set
    assert own & Abstract([1, 7]) == {1}
    assert own - Abstract([1, 7]) == {0, 2}
    assert own ^ Abstract([1, 7]) == {0, 2, 7}


@pytest.mark.parametrize("operate", [*OPERATORS, operator.lt, operator.ge])
@pytest.mark.parametrize("other", [1, "a", [1], (), None, {1: 2}, Map({1: 2})])
def test_operators_refuse_what_is_not_a_set(operate: Any, other: object) -> None:
    with pytest.raises(TypeError, match=r"not supported|unsupported operand"):
        operate(Set([1]), other)
    with pytest.raises(TypeError, match=r"not supported|unsupported operand"):
        operate(other, Set([1]))
    assert Set([1]) != other


def test_views_of_maps_keep_the_type_of_their_results() -> None:
    keys, own = Map(a=1, b=2).keys(), Set("bc")
    assert keys & own == {"b"}
    assert type(keys & own) is set
    assert own & keys == {"b"}
    assert type(own & keys) is Set
    assert keys - own == {"a"}
    assert keys ^ own == {"a", "c"}
    assert keys | own == {"a", "b", "c"}
    assert own - keys == {"c"}
    assert own ^ keys == {"a", "c"}
    assert own | keys == {"a", "b", "c"}
    assert keys == Set("ab")
    assert Set("ab") == keys
    assert keys < Set("abc")
    assert Set("a") < keys
    assert keys.isdisjoint(Set("c"))
    assert Set("c").isdisjoint(keys)
    items = Map(a=1).items()
    assert items == Set([("a", 1)])
    assert items & Set([("a", 1)]) == {("a", 1)}
    # The elements of the set are looked up in the view, whose items need not be hashable.
    assert Map(a=[]).items() & Set([("a", 1), ("b", 2)]) == set()


def test_maps_select_the_keys_in_a_set() -> None:
    map_ = Map(a=1, b=2)
    assert map_.intersection(Set("bc")) == {"b": 2}
    assert map_.difference(Set("bc")) == {"a": 1}
    assert Map.fromkeys(Set("ab"), 0) == {"a": 0, "b": 0}


def test_a_set_stands_for_the_equal_frozenset_in_look_ups() -> None:
    own = Set([frozenset("a"), Set("b")])
    assert {"a"} in own
    assert {"b"} in own
    assert {"c"} not in own
    assert Set("a") in own
    assert frozenset("b") in own
    assert own.remove({"a"}) == {frozenset("b")}
    assert own.discard({"c"}) is own
    with pytest.raises(KeyError):
        own.remove({"c"})


def test_the_elements_of_the_left_operand_stay() -> None:
    assert [*map(type, Set([1]).union([1.0, True]))] == [int]
    assert [*map(type, Set([1]) & {1.0})] == [int]
    assert [*map(type, {1.0} | Set([1]))] == [float]
    assert Set([1]).add(1.0) == {1}
    assert [*map(type, Set([1]).add(1.0))] == [int]


def test_a_result_that_is_equal_to_the_set_is_the_set_itself() -> None:
    own = Set(range(100))
    assert own.union(own, range(50), []) is own
    assert own | own is own
    assert own & own is own
    assert own - Set() is own
    assert own ^ Set() is own
    assert own.intersection(range(200)) is own
    assert own.difference([1000]) is own
    assert own.filter(lambda element: True) is own


def test_sets_that_share_parts_are_combined_without_looking_at_the_shared_ones() -> None:
    own = Set(map(Counted, range(3000)))
    changed = own.add(Counted(5000)).add(Counted(6000))
    for operate in (*OPERATORS, operator.eq, operator.le, operator.ge, operator.lt):
        Counted.calls = 0
        operate(own, changed)
        operate(changed, own)
        assert Counted.calls < 100, operate
    Counted.calls = 0
    assert own.issubset(changed)
    assert changed.issuperset(own)
    assert not own.isdisjoint(changed)
    assert Counted.calls < 100


def test_the_hash_is_computed_once() -> None:
    own = Set(map(Counted, range(50)))
    first = hash(own)
    Counted.calls = 0
    assert hash(own) == first
    assert Counted.calls == 0


def test_weak_references() -> None:
    own = Set("ab")
    called: list[object] = []
    reference = weakref.ref(own, called.append)
    assert reference() is own
    del own
    assert reference() is None
    assert called == [reference]
    reused = Set("cd")
    assert reference() is None
    assert weakref.getweakrefcount(reused) == 0


def test_deep_copies_of_elements_that_change() -> None:
    class Element:
        def __init__(self) -> None:
            self.refs: list[object] = []

    element = Element()
    own = Set([element, 1, (2,)])
    element.refs.append(own)
    copied = copy.deepcopy(own)
    assert copied is not own
    assert len(copied) == 3
    assert {1, (2,)} < copied
    (other,) = (it for it in copied if isinstance(it, Element))
    assert other is not element
    assert other.refs[0] is copied


def test_iterators_have_a_length_and_keep_the_set_alive() -> None:
    iterator = iter(Set(range(10)))
    assert operator.length_hint(iterator) == 10
    assert sorted(iterator) == [*range(10)]
    assert sys.getsizeof(Set()) > 0
