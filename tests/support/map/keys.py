"""Keys with chosen hashes, and comparisons for the tests of `Map`.

The behaviour of a map must not depend on the hashes of its keys. The tests therefore run with each
function in `CUTS`, which cuts hashes so that they collide in different ways.
"""

from __future__ import annotations

import math
import operator
import sys
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import ctxvars

# The map multiplies hashes by the golden ratio. Multiples of a large Fibonacci number, the nearest
# thing to a fraction of it, stay side by side when multiplied, so they part only deep in the trie.
FIBONACCI = 1_836_311_903

CUTS: dict[str, Callable[[int], int]] = {
    "0 bits": lambda _: 0,
    "1 bit": lambda full: full & 1,
    "4 bits": lambda full: full & 15,
    "4 deep bits": lambda full: (full & 15) * FIBONACCI,
    # Exact ints, floats that equal some of them, and others, all with the hash of 1.
    "builtins of one hash": lambda _: 1,
    "full": lambda full: full,
}
MODULUS = sys.hash_info.modulus


class Key:
    """A key that equals keys with an equal payload, and whose hash is cut."""

    __slots__ = ("__weakref__", "hash", "payload")

    def __init__(self, payload: Hashable, hash_: int = 0) -> None:
        self.payload = payload
        self.hash = hash_

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return self.payload is other.payload or self.payload == other.payload

    def __hash__(self) -> int:
        return self.hash

    def __repr__(self) -> str:
        return f"Key({self.payload!r}, {self.hash})"


class Plain:
    """A key or value that equals itself only."""

    def __repr__(self) -> str:
        return f"<Plain {id(self):#x}>"


# Some are equal across types, some are not equal to themselves, and some only look alike.
PAYLOADS: list[Any] = [
    *[True, 1, 1.0, False, 0, -0.0, 0j, -1, -2, 2**61 - 1, 2**64, 10**30, 0.5, math.inf],
    *[math.nan, float("nan"), "", "a", "b", "1", "é", "\U0001f600", b"", b"a", b"1"],
    *[(), (1,), (True,), (1.0, "a"), ((),), (math.nan,), frozenset(), frozenset({1})],
    *[None, ..., NotImplemented, int, len, Plain(), Plain()],
]
FEW = PAYLOADS + list(range(2, 12))
MANY = PAYLOADS + list(range(2, 150))
VALUES = [0, 1, True, 1.0, math.nan, float("nan"), "a", None, (), (1,), Plain()]


# The hash of a number is its remainder modulo `MODULUS`, which is one less than a power of two.
SAME_HASH: list[Any] = [
    *[2.0 ** (61 * power) for power in range(1, 12)],
    *[2 ** (61 * power) for power in range(1, 12)],
    *[True, 1.0, 1 + 0j, Fraction(1), Decimal(1), Fraction(2**61), Decimal(2**122)],
    *[Key(number, 1) for number in range(5)],
]


def cut_key(payload: Any, cut: str) -> Any:
    """The payload itself, or with a hash that has been cut."""
    if cut == "builtins of one hash":
        if type(payload) is int and 0 <= payload < 1000:
            return 1 + payload * MODULUS
        return SAME_HASH[zlib.crc32(repr(payload).encode()) % len(SAME_HASH)]
    return payload if cut == "full" else Key(payload, CUTS[cut](hash(payload)))


def keys(cut: str, payloads: list[Any] = FEW) -> st.SearchStrategy[Any]:
    return st.sampled_from(payloads).map(lambda payload: cut_key(payload, cut))


# A list is a value that is equal to others without being identical, and that cannot be hashed.
values = st.sampled_from(VALUES) | st.builds(lambda item: [item], st.sampled_from(VALUES))


def dicts(cut: str, payloads: list[Any] = FEW) -> st.SearchStrategy[dict[Any, Any]]:
    """Generate dicts that fit into one leaf, and dicts that need a trie."""
    some = st.dictionaries(keys(cut, payloads), values, max_size=12)
    # About every third payload. Hypothesis would make smaller dicts, and these cost nothing.
    large = st.builds(
        lambda step, start, value: {cut_key(payload, cut): value for payload in MANY[start::step]},
        st.integers(1, 4),
        st.integers(0, 40),
        values,
    )
    return some | st.builds(lambda base, over: {**base, **over}, large, some)


def unequal(one: Any, other: Any) -> bool:
    """The result of `!=`, which need not be the opposite of `==`."""
    return bool(operator.ne(one, other))


def same(one: Any, other: Any) -> bool:
    """Compare values as dict does: identical objects are equal, even if they are NaN."""
    return one is other or bool(one == other)


def content(mapping: Mapping[Any, Any]) -> dict[int, int]:
    """The identities of keys and values."""
    return {id(key): id(value) for key, value in mapping.items()}


def assert_is(mapping: Any, expected: dict[Any, Any], absent: Iterable[Any] = ()) -> None:
    """Check that a map or mutation holds exactly these objects, by each way of reading it."""
    assert len(mapping) == len(expected)
    assert content(mapping) == content(expected)
    assert sorted(map(id, mapping)) == sorted(map(id, expected))
    assert sorted(map(id, mapping.values())) == sorted(map(id, expected.values()))
    for key, value in expected.items():
        assert key in mapping
        assert mapping[key] is value
        assert mapping.get(key, expected) is value
    for key in absent:
        assert (key in mapping) == (key in expected)
        assert mapping.get(key, absent) is expected.get(key, absent)
    assert mapping == expected
    assert expected == mapping
    assert not unequal(mapping, expected)


def built(content: Mapping[Any, Any], apart: bool = True) -> ctxvars.Map[Any, Any]:
    """Build a map with this content, at once or by single edits."""
    if apart:
        return ctxvars.Map(content)
    map_: ctxvars.Map[Any, Any] = ctxvars.Map()
    for key, value in content.items():
        map_ = map_.set(key, value)
    return map_
