"""Elements whose `__hash__` and `__eq__` raise, give wrong answers, or use the set meanwhile."""

from __future__ import annotations

import copy
import operator
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctxvars import Map, Set
from tests.support.map.keys import FIBONACCI

Operation = Callable[[Set[Any], Set[Any], Any], object]


class Fuse:
    """Counts the calls of user code, and runs something in one of them."""

    def __init__(self) -> None:
        self.left = 0
        self.action: Callable[[], object] | None = None

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0 and self.action is not None:
            action, self.action = self.action, None
            action()


FUSE = Fuse()


class Element:
    def __init__(self, name: int, hash_: int) -> None:
        self.name, self.hash = name, hash_

    def __hash__(self) -> int:
        FUSE.burn()
        return self.hash

    def __eq__(self, other: object) -> bool:
        FUSE.burn()
        return isinstance(other, Element) and self.name == other.name

    def __repr__(self) -> str:
        FUSE.burn()
        return f"<{self.name}>"

    def __deepcopy__(self, memo: object) -> Element:
        FUSE.burn()
        return Element(self.name, self.hash)

    def __reduce__(self) -> Any:
        FUSE.burn()
        return Element, (self.name, self.hash)


OPERATIONS: dict[str, Operation] = {
    "new": lambda own, other, element: Set([*other, element]),
    "of a map": lambda own, other, element: Set(Map.fromkeys([*other, element])),
    "in": lambda own, other, element: element in own,
    "add": lambda own, other, element: own.add(element),
    "remove": lambda own, other, element: own.remove(element),
    "discard": lambda own, other, element: own.discard(element),
    "union": lambda own, other, element: own.union([element], other),
    "intersection": lambda own, other, element: own.intersection([element], other),
    "difference": lambda own, other, element: own.difference([element], other),
    "symmetric_difference": lambda own, other, element: own.symmetric_difference([element]),
    "filter": lambda own, other, element: own.filter(lambda it: it != element),
    "| &": lambda own, other, element: (own | other, own & {element}, {element} & own),
    "- ^": lambda own, other, element: (own - other, {element} - own, own ^ other),
    "compare": lambda own, other, element: (own == other, own < {*other}, own >= frozenset(other)),
    "subsets": lambda own, other, element: (own.issubset([*other]), own.issuperset(other)),
    "isdisjoint": lambda own, other, element: (own.isdisjoint(other), own.isdisjoint([element])),
    "views": lambda own, other, element: (own & Map.fromkeys(other).keys(), own == other),
    "hash": lambda own, other, element: hash(Set(own)),
    "repr": lambda own, other, element: repr(own),
    "deepcopy": lambda own, other, element: copy.deepcopy(own),
    "pickle": lambda own, other, element: pickle.loads(pickle.dumps(own)),
}
HASHES: dict[str, Callable[[int], int]] = {
    "one hash": lambda number: 7,
    "deep": lambda number: number % 5 * FIBONACCI,
    "apart": lambda number: number * 2_654_435_761,
}


def some(hashes: str, numbers: range) -> Set[Any]:
    return Set(Element(number, HASHES[hashes](number)) for number in numbers)


def names(own: Set[Any]) -> list[int]:
    return sorted(element.name for element in own)


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_exception_of_an_element_is_raised_and_changes_nothing(name: str, hashes: str) -> None:
    own, other = some(hashes, range(30)), some(hashes, range(20, 40))
    element = Element(25, HASHES[hashes](25))
    before = names(own), names(other)

    def fail() -> None:
        raise ZeroDivisionError

    for calls in [*range(1, 40), *random.Random(1).sample(range(40, 2000), 20)]:
        FUSE.left, FUSE.action = calls, fail
        try:
            OPERATIONS[name](own, other, element)
        except ZeroDivisionError:
            assert FUSE.action is None
        FUSE.action = None
        assert (names(own), names(other)) == before
        assert element in own


@pytest.mark.parametrize("hashes", HASHES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_set_can_be_used_and_dropped_while_its_elements_are_compared(
    name: str, hashes: str
) -> None:
    for calls in (1, 2, 3, 7, 20, 60):
        held = [some(hashes, range(30))]
        other = some(hashes, range(20, 40))
        element = Element(25, HASHES[hashes](25))

        def reenter(held: list[Any] = held, other: Set[Any] = other) -> None:
            assert len(held[0] | other) == 40
            assert hash(held[0].add(1)) == hash(held[0].add(1))
            held[0] = held[0].union(range(100)) - other

        FUSE.left, FUSE.action = calls, reenter
        OPERATIONS[name](held[0], other, element)
        FUSE.action = None


class Liar:
    """An element with another hash each time, and random answers to `==`."""

    random = random.Random(5)

    def __hash__(self) -> int:
        return self.random.choice([0, 1, FIBONACCI, 1 << 40])

    def __eq__(self, other: object) -> bool:
        return self.random.random() < 0.3


def test_elements_that_lie_do_no_harm() -> None:
    for _ in range(200):
        own, other = Set(Liar() for _ in range(30)), Set(Liar() for _ in range(30))
        for operate in (operator.or_, operator.and_, operator.sub, operator.xor):
            result = operate(own, other)
            assert len([*result]) == len(result)
        for compare in (operator.eq, operator.lt, operator.ge):
            assert compare(own, other) in (True, False)
        shrunk = own
        for element in own:
            shrunk = shrunk.discard(element).discard(Liar())
        assert len([*shrunk]) == len(shrunk)


def test_an_iterable_that_fails_half_way_changes_nothing() -> None:
    def failing() -> Iterator[int]:
        yield 1000
        raise ZeroDivisionError

    own = Set(range(50))
    for call in (own.union, own.intersection, own.difference, own.symmetric_difference, Set):
        with pytest.raises(ZeroDivisionError):
            call(failing())
    assert own == {*range(50)}


def test_an_abstract_set_that_raises_is_not_swallowed() -> None:
    from tests.set.test_protocol import Abstract

    class Broken(Abstract):
        def __len__(self) -> int:
            raise ZeroDivisionError

    for compare in (operator.eq, operator.le, operator.gt):
        with pytest.raises(ZeroDivisionError):
            compare(Set(range(3)), Broken(range(3)))


def test_recursion_is_bounded() -> None:
    nested: Any = Set()
    for _ in range(100_000):
        nested = Set([nested])
    for call in (
        lambda: repr(nested),
        lambda: copy.deepcopy(nested),
        lambda: pickle.dumps(nested),
    ):
        with pytest.raises(RecursionError):
            call()
    # Each set has cached its hash when it became an element.
    assert hash(nested) == hash(frozenset([*nested]))
