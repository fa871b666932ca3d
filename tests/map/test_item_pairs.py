"""The pairs that `items()` yields: the iterator uses a pair again only if no other code has it."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ctxvars import Map
from tests.support.builds import FREE_THREADED
from tests.support.gc.values import Value

SIZES = [0, 1, 2, 3, 5, 16, 17, 300]


def numbered(size: int) -> dict[str, int]:
    return {f"key {number}": number + 1000 for number in range(size)}


@pytest.mark.parametrize("size", SIZES)
def test_every_way_to_consume_items_yields_what_the_items_of_a_dict_do(size: int) -> None:
    items = Map(numbered(size)).items()
    expected = sorted(numbered(size).items())
    assert sorted(items) == expected
    assert sorted(pair for pair in items) == expected
    assert sorted((key, value) for key, value in items) == expected
    assert {*items} == {*expected}
    assert dict(items) == dict(expected)
    assert [*zip(items, items, strict=True)] == [(pair, pair) for pair in items]
    assert [*itertools.pairwise(items)] == [*itertools.pairwise([*items])]
    assert [*itertools.chain.from_iterable(items)] == [it for pair in [*items] for it in pair]
    first, second = itertools.tee(items)
    assert [*first] == [*second]
    assert sorted(itertools.starmap(lambda *pair: pair, items)) == expected
    assert sorted(map(tuple, map(reversed, items))) == sorted(map(tuple, map(reversed, expected)))


@pytest.mark.parametrize("distance", range(1, 6))
def test_a_pair_that_is_kept_for_a_few_steps_stays_as_it_is(distance: int) -> None:
    kept: list[tuple[tuple[str, int], tuple[str, int]]] = []
    for pair in Map(numbered(50)).items():
        kept.append((pair, (pair[0], pair[1])))
        del pair
        for pair, copy in kept:
            assert pair == copy
        del pair, copy
        del kept[:-distance]


class Consumer(RuleBasedStateMachine):
    """Takes pairs from two iterators of one map, keeps some, drops some, and collects garbage."""

    @initialize(size=st.integers(0, 40), is_traced=st.booleans())
    def start(self, size: int, is_traced: bool) -> None:
        values = [[number] if is_traced else number for number in range(size)]
        self.map = Map(zip(map(str, range(size)), values, strict=True))
        self.iterators = [iter(self.map.items()), iter(self.map.items())]
        self.left = [[*zip(self.map.keys(), self.map.values(), strict=True)] for _ in range(2)]
        self.kept: list[tuple[tuple[Any, Any], Any, Any]] = []

    @rule(which=st.integers(0, 1), keeps=st.booleans(), is_hashed=st.booleans())
    def take(self, which: int, keeps: bool, is_hashed: bool) -> None:
        pair = next(self.iterators[which], None)
        if pair is None:
            assert not self.left[which]
            return
        key, value = self.left[which].pop(0)
        assert len(pair) == 2
        assert pair[0] is key
        assert pair[1] is value
        if isinstance(value, list):
            assert gc.is_tracked(pair)
        elif is_hashed:
            # A tuple of CPython 3.14 caches its hash.
            assert hash(pair) == hash((key, value))
        if keeps:
            self.kept.append((pair, key, value))

    @rule(which=st.integers(0, 1), count=st.integers(0, 4))
    def take_all_of_some(self, which: int, count: int) -> None:
        for pair in itertools.islice(self.iterators[which], count):
            key, value = self.left[which].pop(0)
            assert pair[0] is key
            assert pair[1] is value

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        if self.kept:
            del self.kept[data.draw(st.integers(0, len(self.kept) - 1))]

    @rule()
    def collect(self) -> None:
        # The collector untracks tuples of atomic objects.
        gc.collect()

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.iterators[which] = iter(self.map.items())
        self.left[which] = [*zip(self.map.keys(), self.map.values(), strict=True)]

    @invariant()
    def kept_pairs_do_not_change(self) -> None:
        for pair, key, value in getattr(self, "kept", ()):
            assert pair[0] is key
            assert pair[1] is value


TestConsumer = Consumer.TestCase
TestConsumer.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.dictionaries(st.integers() | st.text(), st.integers() | st.lists(st.integers())))
@settings(deadline=None)
def test_items_are_those_of_the_dict(entries: dict[Any, Any]) -> None:
    assert dict(Map(entries).items()) == entries
    assert [*Map(entries).items()] == [(key, Map(entries)[key]) for key in Map(entries)]


def test_a_hash_that_a_pair_caches_is_not_that_of_the_next_items() -> None:
    items = Map(numbered(100)).items()
    assert [hash(pair) for pair in items] == [hash((key, value)) for key, value in items]
    hashed = {}
    for pair in items:
        hashed[hash(pair)] = pair[:]
    assert all(hash(pair) == key for key, pair in hashed.items())


def identities(pairs: Iterator[tuple[Any, Any]]) -> Iterator[int]:
    """The identity of each pair, while the loop holds the pair, as a loop variable does."""
    for pair in pairs:
        yield id(pair)


@pytest.mark.skipif(FREE_THREADED, reason="pairs are not used again there")
def test_a_loop_over_pairs_uses_two_pairs_alternately() -> None:
    seen = [*identities(iter(Map(numbered(100)).items()))]
    assert len({*seen}) == 2
    assert all(one != another for one, another in itertools.pairwise(seen))


@pytest.mark.skipif(FREE_THREADED, reason="pairs are not used again there")
def test_a_loop_that_unpacks_pairs_uses_one_pair() -> None:
    iterator = iter(Map(numbered(100)).items())
    assert len({id(next(iterator)) for _ in range(100)}) == 1


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_pair_with_another_reference_is_never_used_again(kept: int) -> None:
    iterator = iter(Map(numbered(100)).items())
    first = [next(iterator) for _ in range(kept)]
    before = [pair[:] for pair in first]
    rest = [id(pair) for pair in iterator]
    assert not {*rest} & {id(pair) for pair in first}
    assert [(key, value) for key, value in first] == [(key, value) for key, value in before]


def test_a_pair_that_the_collector_has_untracked_is_tracked_again() -> None:
    # bpo-42536: a pair that is used again for an object that may be part of a cycle.
    entries = Map({1: 1, 2: 2, 3: [], 4: [], 5: 5, 6: []})
    for keeps_last in (False, True):
        last: object = None
        for pair in entries.items():
            gc.collect()
            assert gc.is_tracked(pair) or isinstance(pair[1], int)
            last = pair if keeps_last else None
        del pair, last


def test_cycles_through_both_pairs_are_collected() -> None:
    values = [Value() for _ in range(5)]
    iterator: Any = iter(Map(enumerate(values)).items())
    first, second = next(iterator), next(iterator)
    for value in values:
        value.refs.append(iterator)
    del first, second, value
    alive = weakref.WeakSet(values)
    del values, iterator
    gc.collect()
    assert not [*alive]


def test_the_collector_visits_both_pairs() -> None:
    iterator: Iterator[object] = iter(Map({1: [], 2: [], 3: []}).items())
    pairs = [next(iterator), next(iterator)]
    if not FREE_THREADED:
        assert all(any(it is pair for it in gc.get_referents(iterator)) for pair in pairs)


def test_pairs_do_not_outlive_their_iterator() -> None:
    value = Value()
    before = sys.getrefcount(value)
    iterator: Any = iter(Map({1: value, 2: value, 3: value}).items())
    assert sum(1 for _ in iterator) == 3
    del iterator
    assert sys.getrefcount(value) == before


@pytest.fixture
def frequent_collections() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("frequent_collections")
def test_a_finaliser_that_advances_the_iterator_takes_no_pair_of_the_loop() -> None:
    # Before 3.12, the allocation of a pair can run the collector.
    class Advances:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            taken.extend(itertools.islice(iterator, 1))

    expected = Map(enumerate(range(1000, 1100)))
    iterator = iter(expected.items())
    taken: list[tuple[int, int]] = []
    for pair in iterator:
        taken.append(pair)
        Advances()
    gc.collect()
    assert sorted(taken) == sorted(expected.items())
