"""Random maps that share nodes and hold each other: exactly what is reachable stays alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ctxvars
from ctxvars import Map
from tests.support.gc.values import Value
from tests.support.map.cycles import Key, filled
from tests.support.map.keys import CUTS


class EachStep(RuleBasedStateMachine):
    """Random edits of maps that share nodes and hold each other, collecting at every step."""

    cut = "full"

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Map[Any, Any]] = [Map(), filled(20, Value)]
        self.mutations: list[Any] = [Map().mutate()]
        self.iterators: list[Any] = []
        self.made: list[weakref.ref[Value]] = []

    def any(self, number: int) -> Map[Any, Any]:
        return self.maps[number % len(self.maps)]

    def keep(self, map_: Map[Any, Any]) -> None:
        self.maps = [*self.maps[-7:], map_]

    def fresh(self) -> Value:
        value = Value(len(self.made))
        self.made.append(weakref.ref(value))
        return value

    which = st.integers(0, 100)

    @rule(number=which, key=which)
    def set(self, number: int, key: int) -> None:
        value = self.fresh()
        value.refs = [self.any(number)]
        self.keep(self.any(number + key).set(Key(key, self.cut), value))

    @rule(number=which, key=which)
    def close_a_cycle(self, number: int, key: int) -> None:
        value = self.fresh()
        self.keep(self.any(number).set(Key(key, self.cut), value))
        value.refs = [self.maps[-1], self.maps[-1].items()]

    @rule(number=which, key=which)
    def discard(self, number: int, key: int) -> None:
        self.keep(self.any(number).discard(Key(key, self.cut)))

    @rule(number=which, other=which)
    def union(self, number: int, other: int) -> None:
        self.keep(self.any(number) | self.any(other))

    @rule(number=which, other=which)
    def apply(self, number: int, other: int) -> None:
        self.keep(self.any(number).apply(self.any(other).diff(self.any(number + other))))

    @rule(number=which, modulus=st.integers(1, 4))
    def filter(self, number: int, modulus: int) -> None:
        self.keep(self.any(number).filter(lambda key, value: hash(key) % modulus == 0))

    @rule(number=which)
    def mutate(self, number: int) -> None:
        self.mutations = [*self.mutations[-2:], self.any(number).mutate()]

    @rule(number=which, key=which)
    def edit(self, number: int, key: int) -> None:
        mutation = self.mutations[number % len(self.mutations)]
        value = self.fresh()
        value.refs = [mutation]
        mutation[Key(key, self.cut)] = value
        mutation.discard(Key(key + 1, self.cut))

    @precondition(lambda self: len(self.mutations) > 1)
    @rule()
    def finish(self) -> None:
        self.keep(self.mutations.pop().finish())

    @rule(number=which, steps=st.integers(0, 5))
    def iterate(self, number: int, steps: int) -> None:
        iterator = iter(self.any(number).values())
        for _ in range(steps):
            next(iterator, None)
        self.iterators = [*self.iterators[-2:], iterator]

    @rule(number=which)
    def drop(self, number: int) -> None:
        if len(self.maps) > 1:
            del self.maps[number % len(self.maps)]

    @invariant()
    def exactly_what_is_reachable_is_alive(self) -> None:
        gc.collect()
        reachable: set[int] = set()
        waiting: list[Any] = [self.maps, self.mutations, list(map(copied, self.iterators))]
        while waiting:
            found = waiting.pop()
            if id(found) in reachable:
                continue
            reachable.add(id(found))
            if isinstance(found, Value):
                assert isinstance(found.number, int)
                waiting += found.refs
            elif isinstance(found, list):
                waiting += found
            elif isinstance(found, Map | ctxvars.MapMutation):
                waiting += [*found, *found.values()]
            elif hasattr(found, "mapping"):
                waiting.append(found.mapping)
        alive = [weak() for weak in self.made]
        assert {id(value) for value in alive if value is not None} <= reachable

    def teardown(self) -> None:
        self.maps.clear()
        self.mutations.clear()
        self.iterators.clear()
        gc.collect()
        assert not any(weak() for weak in self.made), "leaked"


def copied(iterator: Any) -> Any:
    """Return the map that an iterator keeps alive, without advancing the iterator."""
    return [found for found in gc.get_referents(iterator) if not isinstance(found, type)]


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("cut", CUTS)
def test_random_edits_with_a_collection_at_every_step(cut: str) -> None:
    case = type("Cut", (EachStep,), {"cut": cut}).TestCase
    case.settings = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()
