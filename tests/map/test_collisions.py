"""Keys whose hashes collide, partly or entirely: which keys are compared, and which are not."""

from __future__ import annotations

import gc
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Hashable
from decimal import Decimal
from fractions import Fraction
from textwrap import dedent
from typing import Any

import pytest

from ctxvars import Map

# The map multiplies a raw hash, and looks at the upper half of the product first.
INVERSE = pow(0x9E37_79B9_7F4A_7C15, -1, 1 << 64)
MODULUS = sys.hash_info.modulus

whole_hashes = pytest.mark.skipif(sys.hash_info.width != 64, reason="hashes have 64 bits")


def raw_hash(high: int, low: int) -> int:
    """Return the hash of a key that the map turns into these two halves."""
    raw = (high << 32 | low) * INVERSE % (1 << 64)
    return raw if raw < 1 << 63 else raw - (1 << 64)


def with_equal_halves(count: int) -> list[int]:
    """Return ints with different hashes that have one upper half in the map."""
    found = (raw_hash(7, low) for low in range(count * 16))
    return [raw for raw in found if abs(raw) < MODULUS and raw != -1][:count]


class Counted:
    """A key that counts its comparisons with other keys."""

    calls = 0

    def __init__(self, name: str, raw: int) -> None:
        self.name = name
        self.raw = raw

    def __hash__(self) -> int:
        return self.raw

    def __eq__(self, other: object) -> bool:
        Counted.calls += 1
        return isinstance(other, Counted) and self.name == other.name


@whole_hashes
@pytest.mark.parametrize("count", [3, 60])
def test_keys_of_different_hashes_are_never_compared(count: int) -> None:
    def made(prefix: str) -> list[Counted]:
        return [Counted(f"{prefix}{low}", raw_hash(7, low)) for low in range(count)]

    keys, others = made("key"), made("other")[: count // 2]
    for index, key in enumerate(others):
        key.raw = raw_hash(7, count + index)
    Counted.calls = 0
    one, other = Map.fromkeys(keys, 1), Map.fromkeys(others, 2)
    both = one | other
    assert len(both) == len(keys) + len(others)
    assert all(key not in one for key in others)
    assert one.update(other) == both
    assert one.intersection(other) == Map()
    assert one.difference(other) == one
    assert len(one.diff(other).added) == len(others)
    assert Map().merge(one, other) == both
    edited = one
    for key in others:
        edited = edited.set(key, 2)
    mutation = one.mutate()
    for key in others:
        mutation[key] = 2
        assert mutation.pop(key) == 2
        mutation.setdefault(key, 2)
    assert edited == both == mutation.finish()
    for key in keys:
        both = both.delete(key)
    assert both == other
    assert Counted.calls == 0


def leaves(node: object) -> list[int]:
    """Return the number of entries of each leaf below a node of a map."""
    below = [each for each in gc.get_referents(node) if not isinstance(each, type)]
    nodes = [each for each in below if type(each).__name__ == "Node"]
    if not nodes:
        return [len(below) // 2]
    return [count for each in nodes for count in leaves(each)]


def _nested(number: int) -> tuple[object, ...]:
    return ("a", (number * MODULUS, None), b"b")


KINDS: dict[str, Callable[[int], Hashable]] = {
    "int": lambda number: 5 + number * MODULUS,
    "negative int": lambda number: -5 - number * MODULUS,
    # The modulus is a power of two minus one, so multiplying by that power keeps the hash.
    "float": lambda number: float(number // 15 + 1 << 61 * (number % 15)),
    "tuple": lambda number: (7 + number * MODULUS, "x"),
    "nested tuple": _nested,
    "tuple of floats": lambda number: (float(number // 15 + 1 << 61 * (number % 15)), 0.5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_one_hash_never_share_a_leaf(kind: str) -> None:
    keys = [KINDS[kind](number) for number in range(1500)]
    whole = Map.fromkeys(keys, 0)
    one_by_one = Map[Any, int]()
    for key in keys:
        one_by_one = one_by_one.set(key, 0)
    assert max(leaves(whole)) <= 16
    assert sorted(leaves(whole)) == sorted(leaves(one_by_one))
    assert whole == one_by_one
    assert hash(whole) == hash(one_by_one)
    assert list(whole) == list(one_by_one)
    assert set(whole) == set(keys)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_one_hash_behave_as_in_a_dict(kind: str) -> None:
    chance = random.Random(1)
    keys = [KINDS[kind](number) for number in range(200)]
    model: dict[Hashable, int] = {}
    persistent = Map[Hashable, int]()
    mutation = persistent.mutate()
    for step in range(1500):
        key = chance.choice(keys)
        if chance.random() < 0.4:
            persistent = persistent.discard(key)
            mutation.discard(key)
            model.pop(key, None)
        else:
            persistent = persistent.set(key, step)
            mutation[key] = step
            model[key] = step
    assert dict(persistent) == model == dict(mutation)
    assert persistent == Map(model) == mutation.finish()
    assert pickle.loads(pickle.dumps(persistent)) == persistent
    half = dict.fromkeys(keys[::2], -1)
    assert dict(persistent | half) == model | half
    assert dict(persistent.difference(half)) == {k: v for k, v in model.items() if k not in half}
    assert dict(persistent.intersection(half)) == {k: v for k, v in model.items() if k in half}
    assert persistent.apply(persistent.diff(Map(half))) == half
    for key in model:
        persistent = persistent.delete(key)
    assert persistent == Map()


EQUAL_NUMBERS: list[Callable[[int], Hashable]] = [int, float, Decimal, Fraction, complex]


@pytest.mark.parametrize("first", EQUAL_NUMBERS)
@pytest.mark.parametrize("second", EQUAL_NUMBERS)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in a tuple"])
def test_equal_numbers_are_one_key_among_many_of_their_hash(
    first: Callable[[int], Hashable], second: Callable[[int], Hashable], nested: bool
) -> None:
    def key(number: Hashable) -> Hashable:
        return (number, "x") if nested else number

    crowd = Map.fromkeys((key(1 + number * MODULUS) for number in range(1, 50)), 0)
    for number in (1, 2, -3, 1 << 61, 1 << 70, 3 << 62, -(1 << 1000)):
        own = crowd.fromkeys((key(number + step * MODULUS) for step in range(1, 50)), 0)
        stored = own.set(key(first(number)), 1)
        assert stored[key(second(number))] == 1
        again = stored.set(key(second(number)), 2)
        assert len(again) == len(stored) == len(own) + 1
        assert again.delete(key(second(number))) == own
        assert stored == own.set(key(second(number)), 1)
        assert Map([*own.items(), (key(first(number)), 0), (key(second(number)), 1)]) == stored
        assert dict(stored.diff(own.set(key(second(number)), 2)).changed) == {key(number): (1, 2)}
        assert stored | {key(second(number)): 1} == stored
        assert own.merge(stored, own.set(key(second(number)), 1)) == stored


def test_booleans_none_and_strings_are_keys_among_many_of_their_hash() -> None:
    ones = Map.fromkeys((1 + number * MODULUS for number in range(100)), 0)
    assert ones[True] == 0
    assert len(ones.set(True, 1)) == 100
    # An empty string, an empty `bytes` and 0 have one hash.
    zeros = Map.fromkeys((number * MODULUS for number in range(100)), 0)
    assert zeros[False] == 0
    assert "" not in zeros
    assert b"" not in zeros
    assert len(zeros.set("", 1).set(b"", 2)) == 102


class Sly:
    """A key of another type, which decides what equals it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> bool:
        return self.number == (other.number if isinstance(other, Sly) else other)


def test_keys_of_other_types_are_compared_with_all_of_their_hash() -> None:
    ints = [5 + number * MODULUS for number in range(300)]
    mixed = Map.fromkeys(ints[:200] + [Sly(number) for number in ints[200:]], 0)
    assert len(mixed) == 300
    for number in ints:
        assert number in mixed
        assert Sly(number) in mixed
        assert len(mixed.set(Sly(number), 1)) == 300
        assert len(mixed.delete(Sly(number))) == 299
    assert mixed == Map.fromkeys(ints, 0)
    assert Map.fromkeys([Sly(number) for number in ints], 0) == mixed
    assert mixed.difference(ints) == Map()
    assert mixed | Map.fromkeys(ints, 1) == Map.fromkeys(ints, 1)


def test_tuples_that_share_their_items_are_hashed_in_no_time() -> None:
    deep: tuple[object, ...] = (5,)
    for _ in range(18):
        deep = (deep, deep)
    twins = [Sly(5), 5, 5 + MODULUS]
    assert len(Map.fromkeys([*((deep, twin) for twin in twins), (deep, 5 + 2 * MODULUS)])) == 3


def run(code: str) -> str:
    command = [sys.executable, "-c", dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hashes_and_pickles_do_not_depend_on_the_process() -> None:
    code = """
        import pickle, sys
        from ctxvars import Map

        crowd = Map.fromkeys((5 + number * sys.hash_info.modulus for number in range(40)), 1)
        print(hash(crowd), pickle.dumps(crowd).hex())
    """
    crowd = Map.fromkeys((5 + number * MODULUS for number in range(40)), 1)
    for _ in range(2):
        own_hash, pickled = run(code).split()
        assert int(own_hash) == hash(crowd)
        assert pickle.loads(bytes.fromhex(pickled)) == crowd


def test_comparisons_that_fail_at_the_recursion_limit_are_reported() -> None:
    # At each depth down to the limit, a look-up of keys of one hash finds them or raises.
    seen = run(
        """
        import operator, sys
        from ctxvars import Map

        keys = [5 + number * sys.hash_info.modulus for number in range(60)]
        base = Map.fromkeys(keys[:30] + keys[31:])
        twin = int(str(keys[40]))
        found = 0

        def descend():
            global found
            try:
                max([0], key=lambda _: descend())  # levels of Python and of C
            except RecursionError:
                pass
            for extra in range(12):
                calls = [operator.call] * extra
                mutation = base.mutate()
                try:
                    if extra:
                        operator.call(*calls[1:], operator.setitem, mutation, keys[30], None)
                        assert operator.call(*calls[1:], operator.contains, base, twin)
                    else:
                        mutation[keys[30]] = None
                        assert twin in base
                    found += 1
                except RecursionError:
                    continue
                assert len(mutation) == 60

        sys.setrecursionlimit(150 if sys.version_info < (3, 12) else 300)
        try:
            descend()
        except RecursionError:
            pass
        sys.setrecursionlimit(1000)
        print(found > 100)
        """
    )
    assert seen == "True\n"
