"""Mutations: their methods before and after `finish()`."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from ctxvars import Map, MapMutation

Edit = Callable[[MapMutation[Any, Any]], object]


def delete(mutation: MapMutation[Any, Any], key: object) -> None:
    del mutation[key]


# Edits of a mutation of {1: 2, 3: 4}.
EDITS: dict[str, Edit] = {
    "[]=": lambda m: m.__setitem__(1, 5),
    "set": lambda m: m.set(1, 5),
    "set the same": lambda m: m.set(1, 2),
    "del": lambda m: delete(m, 1),
    "del missing": lambda m: delete(m, 9),
    "discard": lambda m: m.discard(1),
    "discard missing": lambda m: m.discard(9),
    "pop": lambda m: m.pop(1),
    "pop with a default": lambda m: m.pop(9, None),
    "popitem": lambda m: m.popitem(),
    "setdefault": lambda m: m.setdefault(1, 5),
    "setdefault missing": lambda m: m.setdefault(9, 5),
    "update": lambda m: m.update({1: 5}),
    "update with nothing": lambda m: m.update(),
    "|=": lambda m: m.__ior__({1: 5}),
    "|= with nothing": lambda m: m.__ior__({}),
    "clear": lambda m: m.clear(),
}
READS: dict[str, tuple[Callable[[Any], object], object]] = {
    "[]": (lambda m: m[1], 2),
    "get": (lambda m: m.get(1), 2),
    "get a default": (lambda m: m.get(9, "default"), "default"),
    "in": (lambda m: (1 in m, 9 in m), (True, False)),
    "len": (len, 2),
    "bool": (bool, True),
    "==": (lambda m: (m == {1: 2, 3: 4}, m == {}), (True, False)),
    "!=": (lambda m: (m != {1: 2, 3: 4}, m != {}), (False, True)),
    "repr": (lambda m: sorted(repr(m)), sorted("ctxvars.MapMutation({1: 2, 3: 4})")),
}


@pytest.mark.parametrize("name", EDITS)
def test_edit_after_finish(name: str) -> None:
    mutation = Map({1: 2, 3: 4}).mutate()
    finished = mutation.finish()
    with pytest.raises(ValueError, match=r"mutation .* has been finished"):
        EDITS[name](mutation)
    assert finished == {1: 2, 3: 4}
    assert mutation.finish() is finished


@pytest.mark.parametrize("name", READS)
def test_read_before_and_after_finish(name: str) -> None:
    # As in `immutables`, a finished mutation can be read, but not edited.
    read, expected = READS[name]
    mutation = Map({1: 2}).mutate()
    mutation[3] = 4
    assert read(mutation) == expected
    mutation.finish()
    assert read(mutation) == expected


def test_edits_return_and_store_the_expected_values() -> None:
    mutation = Map({1: 2, 3: 4}).mutate()
    for name, returned, content in [
        ("[]=", None, {1: 5, 3: 4}),
        ("set the same", None, {1: 2, 3: 4}),
        ("setdefault", 2, {1: 2, 3: 4}),
        ("setdefault missing", 5, {1: 2, 3: 4, 9: 5}),
        ("pop with a default", 5, {1: 2, 3: 4}),
        ("pop with a default", None, {1: 2, 3: 4}),
        ("discard", None, {3: 4}),
        ("discard missing", None, {3: 4}),
        ("update", None, {1: 5, 3: 4}),
        ("pop", 5, {3: 4}),
        ("popitem", (3, 4), {}),
        ("update with nothing", None, {}),
    ]:
        assert EDITS[name](mutation) == returned
        assert mutation == content
        assert dict(mutation) == content
        assert len(mutation) == len(content)
    with pytest.raises(KeyError):
        mutation.popitem()
    mutation.update([(1, 1), (2, 2)], {3: 3}, Map({4: 4}), five=5)
    assert mutation == {1: 1, 2: 2, 3: 3, 4: 4, "five": 5}
    mutation.clear()
    assert mutation == {}
    assert mutation.finish() == Map()


def test_setdefault_defaults_to_none() -> None:
    mutation = Map().mutate()
    assert mutation.setdefault(1) is None
    assert mutation.finish() == {1: None}


def test_the_source_of_a_mutation_stays_as_it_is() -> None:
    for size in (0, 1, 16, 17, 100, 1000):
        source = Map({number: number for number in range(size)})
        one, other = source.mutate(), source.mutate()
        for number in range(0, size, 2):
            one[number] = -number
            del other[number]
        one["more"] = 1
        assert source == {number: number for number in range(size)}
        assert other.finish() == {number: number for number in range(1, size, 2)}
        assert len(one.finish()) == size + 1
        # Later mutations of a finished map do not edit it.
        finished = one.finish()
        again = finished.mutate()
        again.clear()
        assert len(finished) == size + 1


def test_as_a_context_manager() -> None:
    with Map({1: 2}).mutate() as mutation:
        assert type(mutation) is MapMutation
        mutation[3] = 4
    with pytest.raises(ValueError, match="finished"):
        mutation[5] = 6
    assert mutation.finish() == {1: 2, 3: 4}


def test_an_exception_in_the_block_goes_on_and_the_edits_are_kept() -> None:
    mutation = Map({1: 2}).mutate()
    error = KeyError("from the block")

    def block() -> None:
        with mutation:
            mutation[3] = 4
            raise error

    with pytest.raises(KeyError) as raised:
        block()
    assert raised.value is error
    with pytest.raises(ValueError, match="finished"):
        mutation[5] = 6
    assert mutation.finish() == {1: 2, 3: 4}


CHANGES: dict[str, Edit] = {
    "add": lambda m: m.set("new", 1),
    "delete": lambda m: delete(m, 0),
    "discard": lambda m: m.discard(1),
    "pop": lambda m: m.pop(2),
    "popitem": lambda m: m.popitem(),
    "setdefault": lambda m: m.setdefault("new", 1),
    "update": lambda m: m.update(new=1),
    "clear": lambda m: m.clear(),
    "add and delete": lambda m: (m.set("new", 1), delete(m, 0)),
    "exchange": lambda m: (delete(m, 0), m.set("new", 1)),
}


@pytest.mark.parametrize("which", ["keys", "values", "items", "__iter__"])
@pytest.mark.parametrize("change", CHANGES)
def test_iterating_while_it_changes(change: str, which: str) -> None:
    # `dict` detects a changed size only. A trie cannot continue after any change of its keys.
    for size in (3, 16, 17, 100, 1000):
        for consumed in (0, 1, size - 1):
            mutation = Map({number: [number] for number in range(size)}).mutate()
            iterator = iter(getattr(mutation, which)())
            if which != "__iter__" and not consumed:
                # The iterators of the views of the mixin start at the first `next`.
                continue
            for _ in range(consumed):
                next(iterator)
            CHANGES[change](mutation)
            with pytest.raises(RuntimeError, match="changed"):
                next(iterator)
            # The iterator stays exhausted.
            with pytest.raises((RuntimeError, StopIteration)):
                next(iterator)


@pytest.mark.parametrize("size", [3, 16, 17, 1000])
def test_an_iterator_goes_on_after_finish(size: int) -> None:
    mutation = Map({number: number for number in range(size)}).mutate()
    mutation["new"] = 1
    iterator = iter(mutation)
    first = next(iterator)
    assert {first, *iterator} == set(mutation.finish())


def test_views_of_a_mutation_are_live() -> None:
    mutation = Map({1: 2}).mutate()
    keys, values, items = mutation.keys(), mutation.values(), mutation.items()
    mutation[3] = 4
    assert set(keys) == {1, 3}
    assert sorted(values) == [2, 4]
    assert set(items) == {(1, 2), (3, 4)}
    assert (len(keys), len(values), len(items)) == (2, 2, 2)
    assert 3 in keys
    assert 4 in values
    assert (3, 4) in items
    assert keys & {3, 5} == {3}
    assert keys | {5} == {1, 3, 5}
    assert items - {(1, 2)} == {(3, 4)}
    del mutation[1]
    assert list(keys) == [3]
    assert list(items) == [(3, 4)]


def test_a_copy_has_the_entries_and_changes_by_itself() -> None:
    mutation = Map({1: 2, 3: 4}).mutate()
    copy = mutation.copy()
    assert (type(copy), copy) == (MapMutation, mutation)
    copy[1] = 5
    del mutation[3]
    assert (mutation, copy) == ({1: 2}, {1: 5, 3: 4})
    assert (mutation.finish(), copy.finish()) == ({1: 2}, {1: 5, 3: 4})


def test_the_copy_of_a_finished_mutation_can_be_changed() -> None:
    mutation = Map(a=1).mutate()
    mutation.finish()
    copy = mutation.copy()
    copy["a"] = 2
    assert (mutation, copy) == ({"a": 1}, {"a": 2})


def test_the_copy_of_an_unchanged_mutation_finishes_as_the_map_itself() -> None:
    map = Map(a=1)
    assert map.mutate().copy().finish() is map


OTHERS: list[Any] = [
    {1: 5, "new": 6},
    Map({1: 5, "new": 6}),
    Map({1: 5, "new": 6}).mutate(),
    MappingProxyType({1: 5, "new": 6}),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_a_union_is_a_new_mutation(other: Any) -> None:
    mutation = Map({1: 2, 3: 4}).mutate()
    joined = mutation | other
    assert (type(joined), joined) == (MapMutation, {1: 5, 3: 4, "new": 6})
    joined[3] = 0
    assert mutation == {1: 2, 3: 4}
    assert other == {1: 5, "new": 6}


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_a_union_with_a_mutation_on_the_right_has_its_values(other: Any) -> None:
    mutation = Map({1: 2, 3: 4}).mutate()
    joined = other | mutation
    assert joined == {1: 2, 3: 4, "new": 6}
    assert type(joined) is (Map if isinstance(other, Map) else MapMutation)


@pytest.mark.parametrize(
    "other", [*OTHERS, [(1, 5), ("new", 6)]], ids=lambda other: type(other).__name__
)
def test_a_union_in_place_changes_the_mutation(other: Any) -> None:
    mutation = same = Map({1: 2, 3: 4}).mutate()
    mutation |= other
    assert mutation is same
    assert mutation == {1: 5, 3: 4, "new": 6}


def test_a_union_in_place_with_itself_changes_nothing() -> None:
    map = Map(a=1)
    mutation = map.mutate()
    mutation |= mutation
    assert mutation.finish() is map


def test_a_union_in_place_that_fails_changes_nothing() -> None:
    mutation = Map({1: 2}).mutate()
    with pytest.raises(TypeError, match="unhashable"):
        mutation |= [(1, 5), ([], 6)]  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not iterable"):
        mutation |= 5  # type: ignore[operator]
    assert mutation == {1: 2}


@pytest.mark.parametrize("other", [5, None, [(1, 2)], "text"])
def test_a_union_is_of_mappings_only(other: Any) -> None:
    mutation = Map({1: 2}).mutate()
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = mutation | other
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = other | mutation


def test_a_union_of_a_finished_mutation_is_open() -> None:
    mutation = Map({1: 2}).mutate()
    mutation.finish()
    joined = mutation | {3: 4}
    joined[5] = 6
    assert joined == {1: 2, 3: 4, 5: 6}
