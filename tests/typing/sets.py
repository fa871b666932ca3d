"""Sets as a type checker sees them. The examples also run: see `tests/typing/examples.py`."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import assert_type

from ctxvars import Set, SetMutation


def making_sets() -> None:
    assert_type(Set("ab"), Set[str])
    assert_type(Set[int](), Set[int])
    wider: Set[object] = Set([1])
    abstract: AbstractSet[int] = Set([1])
    assert wider == abstract


def deriving_sets() -> None:
    numbers, words = Set([1, 2]), frozenset(["three"])
    assert_type(numbers.add(3), Set[int])
    assert_type(numbers.add("three"), Set[int | str])
    assert_type(numbers.remove(1), Set[int])
    assert_type(numbers.discard("other"), Set[int])
    assert_type(numbers | words, Set[int | str])
    assert_type(numbers & words, Set[int])
    assert_type(numbers - words, Set[int])
    assert_type(numbers.union(words), Set[int | str])
    assert_type(numbers.filter(lambda number: number > 1), Set[int])


def set_mutations() -> None:
    with Set("ab").mutate() as mutation:
        assert_type(mutation, SetMutation[str])
        mutation.add("c")
        assert_type(mutation.pop(), str)
    assert_type(mutation.finish(), Set[str])


if __name__ == "__main__":
    for example in (making_sets, deriving_sets, set_mutations):
        example()
