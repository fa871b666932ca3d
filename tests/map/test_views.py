"""The views of a map, against the views of a dict with the same content."""

from __future__ import annotations

import collections.abc
import gc
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Set
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxvars import Map
from tests.support.map.keys import CUTS, cut_key, dicts

LIMITS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

OPERATORS = {
    name: getattr(operator, name)
    for name in ["and_", "or_", "sub", "xor", "eq", "ne", "lt", "le", "gt", "ge"]
}


class AbstractSet(Set[Any]):
    """A set only by its interface."""

    def __init__(self, content: Iterable[Any]) -> None:
        self.content = list(content)

    def __contains__(self, item: object) -> bool:
        return item in self.content

    def __iter__(self) -> Iterator[Any]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> Any:
        return set(items)


def pairwise(keys: Iterable[Any]) -> dict[Any, Any]:
    return {key: number for number, key in enumerate(keys)}


# Operands for a view, made from a dict. The second element is the operand for the view of dict, in
# which our views become those of dict.
OPERANDS: dict[str, Callable[[Any, str], tuple[Any, Any]]] = {
    "dict view": lambda d, kind: (getattr(d, kind)(),) * 2,
    "our view": lambda d, kind: (getattr(Map(d), kind)(), getattr(d, kind)()),
    "set": lambda d, kind: (set(getattr(d, kind)()),) * 2,
    "frozenset": lambda d, kind: (frozenset(getattr(d, kind)()),) * 2,
    "abstract set": lambda d, kind: (AbstractSet(getattr(d, kind)()),) * 2,
    "list": lambda d, kind: (list(getattr(d, kind)()),) * 2,
    "tuple": lambda d, kind: (tuple(getattr(d, kind)()),) * 2,
    "dict": lambda d, kind: (d, d),
    "our map": lambda d, kind: (Map(d), d),
    "values view": lambda d, kind: (Map(d).values(), d.values()),
    "string": lambda d, kind: ("ab", "ab"),
    "number": lambda d, kind: (1, 1),
    "None": lambda d, kind: (None, None),
}
CONTENTS = [pairwise(keys) for keys in ("", "a", "b", "ab", "abc", "xyz", range(20), range(5, 40))]


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result, with its type if that matters, or the exception."""
    try:
        result = call(*arguments)
    except TypeError as error:
        text = str(error).replace("ctxvars.", "").replace("as a Map key", "as a dict key")
        for ours, theirs in [("MapKeys", "dict_keys"), ("MapItems", "dict_items")]:
            text = text.replace(ours, theirs)
        return TypeError, text.replace("MapValues", "dict_values").replace("'Map'", "'dict'")
    return type(result), result


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("operand", OPERANDS)
def test_operators_agree_with_those_of_dict_views(operand: str, name: str, kind: str) -> None:
    compute = OPERATORS[name]
    for content, other in itertools.product(CONTENTS, repeat=2):
        ours, theirs = getattr(Map(content), kind)(), getattr(content, kind)()
        beside_ours, beside_theirs = OPERANDS[operand](other, kind)
        expected = outcome(compute, theirs, beside_theirs)
        assert outcome(compute, ours, beside_ours) == expected
        if operand == "abstract set" and name in ("and_", "or_", "sub", "xor"):
            # The views of dict leave these to the reflected methods of `Set`, whose results vary.
            assert set(compute(beside_ours, ours)) == set(compute(beside_theirs, theirs))
            continue
        expected = outcome(compute, beside_theirs, theirs)
        assert outcome(compute, beside_ours, ours) == expected


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("operand", OPERANDS)
def test_isdisjoint(operand: str, kind: str) -> None:
    for content, other in itertools.product(CONTENTS, repeat=2):
        ours, theirs = getattr(Map(content), kind)(), getattr(content, kind)()
        beside_ours, beside_theirs = OPERANDS[operand](other, kind)
        expected = outcome(theirs.isdisjoint, beside_theirs)
        assert outcome(ours.isdisjoint, beside_ours) == expected


@pytest.mark.parametrize("cut", CUTS)
def test_operators_of_random_views(cut: str) -> None:
    @LIMITS
    @given(dicts(cut), dicts(cut), st.booleans())
    def check(content: dict[Any, Any], other: dict[Any, Any], derive: bool) -> None:
        ours = Map(content)
        # Maps that are derived from one another share nodes. This must not matter.
        theirs = ours.update(other).intersection(other) if derive else Map(other)
        for name, compute in OPERATORS.items():
            expected = compute(content.keys(), other.keys())
            for operand in (theirs.keys(), other.keys(), set(other)):
                assert compute(ours.keys(), operand) == expected, name
        assert ours.keys().isdisjoint(theirs.keys()) == content.keys().isdisjoint(other)
        assert (ours.items() == theirs.items()) == (content == other)
        assert (ours.items() != theirs.items()) == (content != other)
        assert (ours.items() <= theirs.items()) == (content.items() <= other.items())
        assert (ours.items() > other.items()) == (content.items() > other.items())

    check()


def test_results_of_operators_are_sets() -> None:
    keys, items = Map(a=1, b=2).keys(), Map(a=1, b=2).items()
    for compute in (operator.and_, operator.or_, operator.sub, operator.xor):
        assert type(compute(keys, keys)) is set
        assert type(compute(items, items)) is set
        assert type(compute(keys, ["a"])) is set
    assert keys & "ax" == {"a"}
    assert keys | ("x",) == {"a", "b", "x"}
    assert items ^ {("b", 2), ("c", 3)} == {("a", 1), ("c", 3)}


def test_membership() -> None:
    value = [1]
    content = {1: value, "a": None, (2, 3): float("nan")}
    for ours, theirs in [(Map(content), content)]:
        for item in [1, True, "a", "b", (2, 3), (1, [1]), (1, value), (1,), (1, 2, 3), [1, value]]:
            for kind in ("keys", "values", "items"):
                expected = outcome(operator.contains, getattr(theirs, kind)(), item)
                assert outcome(operator.contains, getattr(ours, kind)(), item) == expected
        for item in [("a", None), ((2, 3), content[2, 3]), ((2, 3), float("nan")), ([], 1), []]:
            expected = outcome(operator.contains, theirs.items(), item)
            assert outcome(operator.contains, ours.items(), item) == expected
        assert [1] in ours.values()
        assert content[2, 3] in ours.values()
        assert float("nan") not in ours.values()
        with pytest.raises(TypeError, match="unhashable"):
            [] in ours.keys()  # noqa: B015, SIM118


def test_views_of_unhashable_values() -> None:
    ours, theirs = Map({1: [], 2: {}}), {1: [], 2: {}}
    items = ours.items()
    assert items == {1: [], 2: {}}.items()
    assert items <= {1: [], 2: {}, 3: 0}.items()
    assert items.isdisjoint([(1, 5)])
    for name, compute in OPERATORS.items():
        for other in (ours.items(), theirs.items(), [(1, 2)]):
            if name == "xor" and not isinstance(other, list):
                # Between two views, this hashes only items that differ.
                assert items ^ other == theirs.items() ^ theirs.items() == set()
                continue
            # Which of the unhashable values comes first depends on the order.
            expected = outcome(compute, theirs.items(), other)
            found = outcome(compute, items, other)
            assert found[0] == expected[0]
            assert found == expected or expected[0] is TypeError


@pytest.mark.parametrize("size", [0, 1, 3, 16, 17, 100, 1000])
def test_views_are_iterated_again_and_again(size: int) -> None:
    content = {number: -number for number in range(size)}
    map_ = Map(content)
    keys, values, items = map_.keys(), map_.values(), map_.items()
    for _ in range(2):
        assert len(keys) == len(values) == len(items) == size
        assert sorted(keys) == sorted(content)
        assert sorted(values) == sorted(content.values())
        assert sorted(items) == sorted(content.items())
        assert list(items) == list(zip(keys, values, strict=True))
        assert list(keys) == list(map_)
    assert all(type(item) is tuple for item in items)
    # Two iterators over one view are independent.
    one, other = iter(keys), iter(keys)
    assert [next(one, None) for _ in range(3)] == [next(other, None) for _ in range(3)]
    assert iter(one) is one
    assert list(one) == list(other) == list(keys)[3:]
    assert next(one, "exhausted") == "exhausted"
    assert operator.length_hint(iter(items)) in (0, size)


def test_abstract_base_classes() -> None:
    map_ = Map(a=1)
    for kind, base in [("keys", "KeysView"), ("values", "ValuesView"), ("items", "ItemsView")]:
        view = getattr(map_, kind)()
        assert isinstance(view, getattr(collections.abc, base))
        assert isinstance(view, Set) == (kind != "values")
        assert not isinstance(view, collections.abc.Reversible)
        for size in (1, 100):
            with pytest.raises(TypeError, match="not reversible"):
                reversed(getattr(Map.fromkeys(range(size)), kind)())
        with pytest.raises(TypeError):
            type(view)()
        with pytest.raises(TypeError):
            type("Sub", (type(view),), {})


def test_views_hash_and_compare_as_those_of_dict() -> None:
    map_, content = Map(a=1), {"a": 1}
    for kind in ("keys", "values", "items"):
        ours, theirs = getattr(map_, kind)(), getattr(content, kind)()
        try:
            hash(theirs)
        except TypeError:
            with pytest.raises(TypeError, match="unhashable"):
                hash(ours)
        else:
            assert hash(ours) == hash(ours)
        assert (ours == getattr(map_, kind)()) == (theirs == getattr(content, kind)())
        assert (ours != getattr(map_, kind)()) == (theirs != getattr(content, kind)())
        assert ours == ours
        assert getattr(ours, "__hash__", None) is None or kind == "values"
    assert map_.keys() != map_.values()
    assert map_.keys() != ["a"]


def test_a_view_knows_its_map_and_keeps_it() -> None:
    for kind in ("keys", "values", "items"):
        map_ = Map({number: [number] for number in range(100)})
        view = getattr(map_, kind)()
        assert view.mapping is map_ or view.mapping == map_
        with pytest.raises((AttributeError, TypeError)):
            view.mapping = {}
        expected = list(view)
        iterator = iter(view)
        begun = [next(iterator)]
        del map_, view
        gc.collect()
        # The iterator outlives both.
        assert begun + list(iterator) == expected


def test_representation() -> None:
    map_ = Map({1: "one"})
    for view, expected in [
        (map_.keys(), "1"),
        (map_.values(), "'one'"),
        (map_.items(), "(1, 'one')"),
    ]:
        assert expected in repr(view)
        assert type(view).__name__ in repr(view)
        assert type(view).__module__ == "ctxvars"
    inner: list[Any] = []
    recursive = Map({1: inner})
    inner.append(recursive.values())
    assert "..." in repr(recursive.values())
    assert "..." in repr(recursive.items())


def test_views_take_any_cut_of_hashes() -> None:
    for cut in CUTS:
        content = {cut_key(number, cut): number for number in range(40)}
        map_ = Map(content)
        assert map_.keys() == content.keys()
        assert map_.items() == content.items()
        half = {cut_key(number, cut): number for number in range(20)}
        assert map_.keys() & half.keys() == half.keys()
        assert map_.items() - half.items() == dict(list(content.items())[20:]).items()
        assert map_.keys() > half.keys()
        assert not map_.keys() <= half.keys()
