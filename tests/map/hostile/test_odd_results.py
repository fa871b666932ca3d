"""Keys and values whose methods return wrong types, compared with dict."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map
from tests.support.map.keys import Key


def outcome(call: Callable[[], object]) -> tuple[str, str]:
    try:
        return "returned", repr(call())
    except Exception as error:
        text = str(error).replace("'ctxvars.Map'", "'dict'")
        return type(error).__name__, text.replace("as a Map key", "as a dict key")


class Odd:
    """A key whose `__eq__` and `__hash__` return any object."""

    def __init__(self, equal: object, hash_: Any = 1) -> None:
        self.equal, self.hash = equal, hash_

    def __eq__(self, other: object) -> Any:
        return self.equal

    def __hash__(self) -> int:
        return self.hash  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "odd"


class NoBool:
    def __bool__(self) -> bool:
        raise ZeroDivisionError("no truth")


class WrongBool:
    def __bool__(self) -> bool:
        return "yes"  # type: ignore[return-value]


EQUALS = [NotImplemented, [], [0], "", "yes", None, 0, 2, NoBool(), WrongBool(), float("nan")]


# Ids must not have addresses: they have to be equal in all processes of pytest-xdist.
@pytest.mark.parametrize("equal", EQUALS, ids=lambda equal: repr(equal).partition(" object at ")[0])
@pytest.mark.parametrize("size", [1, 20])
def test_odd_results_of_eq_mean_what_they_mean_to_dict(equal: object, size: int) -> None:
    content = {Odd(NotImplemented, number): number for number in range(size)}
    mapping: Any = Map(content)
    for probe in (Odd(equal, 0), Odd(equal, 1 - size)):
        for read in (
            lambda m, probe=probe: m[probe],
            lambda m, probe=probe: probe in m,
            lambda m, probe=probe: m.get(probe, "absent"),
            lambda m, probe=probe: len({**m, probe: 1}) - len(m),
        ):
            expected = outcome(lambda read=read: read(content))
            assert outcome(lambda read=read: read(mapping)) == expected
        edited = dict(content)
        expected = outcome(lambda probe=probe, d=edited: operator.setitem(d, probe, "new"))
        mutation = mapping.mutate()
        found = outcome(lambda probe=probe, m=mutation: operator.setitem(m, probe, "new"))
        assert found == expected
        assert len(mutation) == len(edited)
        if expected[0] == "returned":
            assert mapping.set(probe, "new") == edited
    values = Map(a=Odd(equal)), {"a": Odd(equal)}
    for compare in (operator.eq, operator.ne):
        expected = outcome(lambda compare=compare: compare(values[1], {"a": 1}))
        assert outcome(lambda compare=compare: compare(values[0], {"a": 1})) == expected
        assert outcome(lambda compare=compare: compare(values[0], Map(a=1))) == expected
    expected = outcome(lambda: 1 in values[1].values())
    assert outcome(lambda: 1 in values[0].values()) == expected


@pytest.mark.parametrize("hash_", [None, "1", 1.5, True, 2**100, -1, -(2**61)], ids=repr)
def test_odd_results_of_hash_mean_what_they_mean_to_dict(hash_: object) -> None:
    key = Odd(NotImplemented, hash_)
    for use in (
        lambda make: make({1: 2}).get(key),
        lambda make: key in make({1: 2}),
        lambda make: make([(key, 1)])[key],
        lambda make: len(make(dict.fromkeys(range(20)) | {}) | make([(key, 1)])),
        lambda make: (make({1: 2}) | make([(key, 1)]))[key],
    ):
        expected = outcome(lambda use=use: use(dict))
        assert outcome(lambda use=use: use(Map)) == expected


def test_nan_is_found_by_identity() -> None:
    nans = [float("nan") for _ in range(100)]
    map_ = Map({nan: number for number, nan in enumerate(nans)})
    assert len(map_) == 100
    assert [map_[nan] for nan in nans] == list(range(100))
    assert float("nan") not in map_
    assert len(map_.set(nans[0], "new")) == 100
    assert len(map_.set(float("nan"), "new")) == 101
    assert len(map_.difference(nans[:50])) == 50
    # Since 3.10, the hash of NaN depends on its identity. Use keys of one hash as well.
    together = Map({(nan, 1) if number % 2 else nan: number for number, nan in enumerate(nans)})
    assert together[(nans[1], 1)] == 1


def test_a_key_that_changes_its_hash_is_lost_but_harmless() -> None:
    keys = [Key(number, number) for number in range(100)]
    map_ = Map.fromkeys(keys)
    for key in keys:
        key.hash += 1
    assert len(map_) == len(list(map_)) == 100
    assert keys[0] not in map_ or map_[keys[0]] is None
    edited = map_
    for key in keys:
        edited = edited.set(key, 1).discard(Key("none", 5))
    assert len(edited) == len(list(edited)) >= 100
    assert edited == edited.set(Key("x", 3), 1).delete(Key("x", 3))
    assert len(map_ | edited) == len(list(map_ | edited))
    mutation = edited.mutate()
    while mutation:
        mutation.popitem()
    assert mutation.finish() == {}
