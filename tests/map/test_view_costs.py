"""Operations on views and key sets visit the smaller operand, or what differs in two versions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Set
from typing import Any

import pytest

from ctxvars import Map

BIG = 2000


class Counter:
    """Counts calls of methods of keys and values."""

    def __init__(self) -> None:
        self.hashed = self.compared = 0

    def reset(self) -> None:
        self.hashed = self.compared = 0


CALLS = Counter()


class Key:
    def __init__(self, name: Any) -> None:
        self.name = name

    def __hash__(self) -> int:
        CALLS.hashed += 1
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        CALLS.compared += 1
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


class HashableValue(Key):
    """A hashable value, so that items can be in a set."""


class Unhashable(Key):
    __hash__ = None  # type: ignore[assignment]


def content(*names: Any) -> dict[Key, HashableValue]:
    return {Key(name): HashableValue(name) for name in names}


def counted(operate: Callable[..., Any], *operands: Any) -> tuple[Any, int, int]:
    CALLS.reset()
    result = operate(*operands)
    return result, CALLS.hashed, CALLS.compared


SMALL_NAMES = (3, "absent")

# Forms of the larger operand, made from a dict. `None`: items cannot be looked up in it.
CONTAINERS: dict[str, Callable[[Any, str], Any]] = {
    "our view": lambda d, kind: getattr(Map(d), kind)(),
    "dict view": lambda d, kind: getattr(d, kind)(),
    "set": lambda d, kind: set(getattr(d, kind)()),
    "frozenset": lambda d, kind: frozenset(getattr(d, kind)()),
}

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "&": operator.and_,
    "reflected &": lambda small, big: big & small,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    "reflected >=": lambda small, big: big >= small,
    "isdisjoint": lambda small, big: small.isdisjoint(big),
}


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_smaller_operand_is_walked_over(name: str, container: str, kind: str) -> None:
    small, big = content(*SMALL_NAMES), content(*range(BIG))
    if container == "frozenset" and kind == "items" and name.endswith("&"):
        pytest.skip("as for dict, items are looked up in the view, where they need no hash")
    ours = getattr(Map(small), kind)()
    theirs = CONTAINERS[container](big, kind)
    if name == "reflected &" and container == "dict view":
        pytest.skip("dict's own operator walks over its right operand")
    expected = OPERATIONS[name](getattr(small, kind)(), CONTAINERS["dict view"](big, kind))
    result, hashed, compared = counted(OPERATIONS[name], ours, theirs)
    assert result == expected
    # Two keys or items are hashed, for up to two sets, and compared at most once each.
    assert hashed <= 8
    assert compared <= 8


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("name", ["&", "reflected &", "isdisjoint", "<="])
def test_a_larger_view_does_not_walk_over_itself(name: str, kind: str) -> None:
    small, big = content(*SMALL_NAMES), content(*range(BIG))
    ours = getattr(Map(big), kind)()
    for theirs in (getattr(small, kind)(), set(getattr(small, kind)())):
        if name == "reflected &" and not isinstance(theirs, set):
            continue
        result, hashed, compared = counted(OPERATIONS[name], ours, theirs)
        assert result == OPERATIONS[name](getattr(big, kind)(), theirs)
        assert hashed <= 8
        assert compared <= 8


@pytest.mark.parametrize("name", ["-", "reflected -"])
def test_a_difference_of_keys(name: str) -> None:
    small, big = Map(content(*SMALL_NAMES)), content(*range(BIG))
    for other in (Map(big).keys(), big.keys(), set(big), frozenset(big)):
        if name == "-":
            result, hashed, compared = counted(operator.sub, small.keys(), other)
            assert result == {Key("absent")}
            assert hashed <= 8
        elif not isinstance(other, type({}.keys())):
            result, _, compared = counted(operator.sub, other, small.keys())
            assert result == set(big) - {Key(3)}
        assert compared <= 8


class Taken(Set[Any]):
    """A set only by its interface, which counts the items that are read."""

    def __init__(self, items: list[Any]) -> None:
        self.items, self.taken = items, 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self.taken += 1
            yield item

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        raise AssertionError("a foreign operand is iterated over, as by dict")


@pytest.mark.parametrize("kind", ["keys", "items"])
def test_a_view_iterates_over_a_foreign_operand_as_a_dict_view_does(kind: str) -> None:
    ours, theirs = (getattr(make({1: 1, 2: 2}), kind)() for make in (Map, dict))
    item = next(iter(theirs))
    for method in ("__and__", "isdisjoint", "__sub__", "__or__", "__xor__"):
        beside_ours, beside_theirs = Taken([item, "x", "y"]), Taken([item, "x", "y"])
        assert getattr(ours, method)(beside_ours) == getattr(theirs, method)(beside_theirs)
        assert beside_ours.taken == beside_theirs.taken
    generated = iter([item, "x"])
    assert ours & generated == {item}
    assert next(generated, None) is None
    left = iter([item, "x"])
    assert not ours.isdisjoint(left)
    assert list(left) == ["x"]


def versions(size: int = BIG) -> tuple[Map[Any, Any], Map[Any, Any]]:
    """Return two versions of a map: one key replaced, one removed, one added."""
    base: Map[Any, Any] = Map(content(*range(size)))
    return base, base.set(Key(1), HashableValue("new")).delete(Key(2)).set(
        Key("added"), HashableValue("added")
    )


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize(
    "name", [*OPERATIONS, *("isdisjoint", "-", "^", ">"), "reflected isdisjoint"]
)
def test_versions_are_compared_where_they_differ(name: str, kind: str) -> None:
    operations = {
        **OPERATIONS,
        "-": operator.sub,
        "^": operator.xor,
        ">": operator.gt,
        "reflected isdisjoint": lambda small, big: big.isdisjoint(small),
    }
    base, changed = versions()
    left, right = getattr(base, kind)(), getattr(changed, kind)()
    as_dicts = getattr(dict(base), kind)(), getattr(dict(changed), kind)()
    expected = operations[name](*as_dicts)
    result, hashed, compared = counted(operations[name], left, right)
    assert result == expected
    # One or two leaves of each version are compared. A set of the result hashes its items.
    assert compared <= 100
    if kind == "keys" and name != "&" and name != "reflected &":
        assert hashed <= 4
    if isinstance(result, bool):
        assert hashed == 0


@pytest.mark.parametrize("kind", ["keys", "items"])
def test_a_view_with_itself_compares_nothing(kind: str) -> None:
    map_: Map[Any, Any] = Map({Key(number): Unhashable(number) for number in range(BIG)})
    for name in ("==", "!=", "<=", "<", "reflected >=", "isdisjoint"):
        left, right = getattr(map_, kind)(), getattr(map_, kind)()
        result, hashed, compared = counted(OPERATIONS[name], left, right)
        assert result is (name in ("==", "<=", "reflected >="))
        assert hashed == compared == 0
    view = getattr(map_, kind)()
    assert counted(operator.xor, view, view) == (set(), 0, 0)
    assert getattr(Map(), kind)().isdisjoint(getattr(Map(), kind)())


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("share", [True, False])
def test_the_first_counterexample_ends_the_walk(kind: str, share: bool) -> None:
    names = range(BIG)
    base: Map[Any, Any] = Map(content(*names))
    other = (
        base.map_values(lambda value: HashableValue(value.name)) if share else Map(content(*names))
    )
    disjoint, _, compared = counted(getattr(base, kind)().isdisjoint, getattr(other, kind)())
    assert disjoint is False
    assert compared <= 2
    other = Map({Key(-1 - number): 0 for number in range(BIG)})
    for compute in (operator.le, operator.eq, operator.ge):
        result, _, compared = counted(compute, getattr(base, kind)(), getattr(other, kind)())
        assert result is False
        assert compared <= 2


class Equal:
    """Objects that are equal, but distinguishable."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.number == other.number


@pytest.mark.parametrize("kind", ["keys", "items"])
@pytest.mark.parametrize("sizes", [(2, 4), (4, 2), (3, 3)])
@pytest.mark.parametrize("name", ["and_", "or_", "sub", "xor"])
def test_the_items_that_are_kept_are_those_that_dict_keeps(
    name: str, sizes: tuple[int, int], kind: str
) -> None:
    one = {Equal(number): Equal(-number) for number in range(sizes[0])}
    other = {Equal(number): Equal(-number) for number in range(1, sizes[1] + 1)}

    def identities(items: Any) -> Any:
        pairs = [item if isinstance(item, tuple) else (item,) for item in items]
        return sorted(tuple(map(id, pair)) for pair in pairs)

    compute = getattr(operator, name)
    theirs = getattr(one, kind)()
    for wrap in (lambda view: view, set, list):
        operand = wrap(getattr(other, kind)())
        ours = getattr(Map(one), kind)()
        beside_ours = getattr(Map(other), kind)() if wrap(()) == () else operand
        assert identities(compute(ours, beside_ours)) == identities(compute(theirs, operand))
        if wrap(()) != ():
            assert identities(compute(operand, ours)) == identities(compute(operand, theirs))


@pytest.mark.parametrize("name", ["and_", "or_", "sub", "xor", "eq", "le", "ge"])
def test_items_that_cannot_be_hashed(name: str) -> None:
    compute = getattr(operator, name)
    same: list[Any] = []
    # Whether a comparison ends before it reaches an unhashable item depends on the order.
    comparison = name in ("eq", "le", "ge")
    contents: list[dict[Any, Any]] = [
        {1: []},
        {1: same, 2: 3},
        {1: same, 4: 5, 6: 7},
        {2: 3},
        {2: 3, 8: 9, 10: 11},
        {},
    ]
    others = [dict.items, lambda d: Map(d).items(), list, lambda d: {(2, 3), (1, 5), (8, 9)}]

    def outcome(left: Any, right: Any) -> Any:
        try:
            return compute(left, right)
        except TypeError as error:
            return type(error)

    for one in contents:
        for other in contents:
            for make in others[:-1] if comparison else others:
                expected = make(other) if make is not others[1] else other.items()
                ours = outcome(Map(one).items(), make(other))
                assert ours == outcome(one.items(), expected), (one, other)


METHODS: dict[str, Callable[[Map[Any, Any], Any], Map[Any, Any]]] = {
    "intersection": lambda map_, keys: map_.intersection(keys),
    "difference": lambda map_, keys: map_.difference(keys),
}
KEY_SETS: dict[str, Callable[[dict[Any, Any]], Any]] = {
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "dict view": dict.keys,
    "our view": lambda d: Map(d).keys(),
    "our map": Map,
    "mutation": lambda d: Map(d).mutate(),
}


@pytest.mark.parametrize("keys", KEY_SETS)
@pytest.mark.parametrize("method", METHODS)
def test_a_small_map_is_selected_by_a_large_set(method: str, keys: str) -> None:
    small, big = Map(content(*SMALL_NAMES)), content(*range(BIG))
    names = {3} if method == "intersection" else {"absent"}
    result, hashed, compared = counted(METHODS[method], small, KEY_SETS[keys](big))
    assert {key.name for key in result} == names
    assert hashed <= 4 + (BIG if keys.startswith("our") or keys == "mutation" else 0)
    assert compared <= 4
    again = KEY_SETS[keys](big)
    _, hashed, compared = counted(METHODS[method], small, again)
    assert hashed <= 4
    assert compared <= 4
    # Unchanged nodes are shared.
    assert METHODS[method](Map(content(3)), KEY_SETS[keys](big)) == (
        Map(content(3)) if method == "intersection" else Map()
    )


@pytest.mark.parametrize("keys", KEY_SETS)
@pytest.mark.parametrize("size", [1, 16, 17, 300])
def test_selection_by_any_keys(size: int, keys: str) -> None:
    map_ = Map({number: str(number) for number in range(size)})
    for numbers in (range(size), range(size // 2), range(size, 3 * size), range(-size, 2 * size)):
        chosen = KEY_SETS[keys](dict.fromkeys(numbers))
        assert map_.intersection(chosen) == {n: str(n) for n in range(size) if n in numbers}
        assert map_.difference(chosen) == {n: str(n) for n in range(size) if n not in numbers}
    everything = KEY_SETS[keys](dict.fromkeys(range(2 * size)))
    assert map_.intersection(everything) is map_
    assert map_.difference(KEY_SETS[keys](dict.fromkeys(range(-2 * size, 0)))) is map_


@pytest.mark.parametrize("method", METHODS)
def test_a_set_that_changes_while_keys_are_looked_up(method: str) -> None:
    class Changing:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            return self.number % 3

        def __eq__(self, other: object) -> bool:
            if armed:
                keys.clear()
                keys.update(range(100, 140))
            return self is other

    armed = False
    keys: set[Any] = {Changing(number) for number in range(20)}
    map_: Map[Any, Any] = Map(dict.fromkeys([Changing(number) for number in range(5)]))
    armed = True
    assert len(METHODS[method](map_, keys)) <= 5
    assert len(map_) == 5
