"""The operations to measure on maps, with the code for each library, their keys and bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from paired import EACH, OURS
from report import Bar
from samples import LIBRARIES, LOOKED_UP, PEER, PEERS, Sample, derived

SIZES = (5, 100, 10_000, 1_000_000)

# The work of an operation, in entries that it visits, decides how often it is repeated.
LOOKUP = 1
PATH = 10
WHOLE = 0


class Code(NamedTuple):
    """The code of an operation for one library, and the work of that code."""

    text: str
    work: int = LOOKUP


def everywhere(text: str, work: int = LOOKUP) -> dict[str, Code]:
    return dict.fromkeys(LIBRARIES, Code(text, work))


def modified(ours: str, rpds: str, dictionary: str) -> dict[str, Code]:
    """Return the codes that derive a map; the methods of `immutables` have the names of ctxvars."""
    persistent = Code(ours, PATH)
    copied = Code(f"copy = m.copy(); {dictionary}", WHOLE)
    return {OURS: persistent, PEER: persistent, "rpds": Code(rpds, PATH), "dict": copied}


def after_edit(ours: str, peers: dict[str, str]) -> dict[str, Code]:
    """Return the codes for an operation that only ctxvars does without visiting the whole map."""
    return {OURS: Code(ours, PATH), **{name: Code(text, WHOLE) for name, text in peers.items()}}


def beside_dict(text: str, work: int) -> dict[str, Code]:
    """Return the codes for an operation on set-like views, which ctxvars and `dict` have."""
    return {OURS: Code(text, PATH), "dict": Code(text, work)}


Arguments = Callable[[Sample, str, int], list[Any]]


def nothing(of: Sample, library: str, count: int) -> list[Any]:
    return [None] * count


def stored(of: Sample, library: str, count: int) -> list[Any]:
    return of.stored[:count]


def absent(of: Sample, library: str, count: int) -> list[Any]:
    return of.absent[:count]


def equal_after_edit(of: Sample, library: str, count: int) -> list[Any]:
    """Return maps in which one value is replaced by an equal one.

    So no difference ends a comparison early: maps that share no nodes are compared completely.
    """
    whole = of.map(library)
    return [derived(library, whole, {key: int(str(whole[key]))}) for key in of.stored[:count]]


def edited(of: Sample, library: str, count: int) -> list[Any]:
    """Return maps in which one value is replaced, derived from a map with a cached hash."""
    whole = of.map(library)
    if library != "dict":
        hash(whole)
    return [derived(library, whole, {key: -1}) for key in of.stored[:count]]


def edited_twice(edits: int) -> Arguments:
    """Return a function that makes pairs of maps, with one edit and with `edits` other edits."""

    def pairs(of: Sample, library: str, count: int) -> list[Any]:
        keys = of.stored + of.stored
        whole = of.map(library)
        return [
            (
                derived(library, whole, {keys[at]: -1}),
                derived(library, whole, dict.fromkeys(keys[at + 1 : at + 1 + edits], -2)),
            )
            for at in range(count)
        ]

    return pairs


def single_keys(of: Sample, library: str, count: int) -> list[Any]:
    """Return maps with one key each, a key of the large map."""
    return [LIBRARIES[library]({key: -1}) for key in of.stored[:count]]


VERSIONS = 30


def histories(of: Sample, library: str, count: int) -> list[Any]:
    """Return lists of versions of one map. Each version has one more edit than the one before."""
    versions = [of.map(library)]
    for key in of.stored[: VERSIONS - 1]:
        versions.append(derived(library, versions[-1], {key: -1}))
    return [versions] * count


LEVELS = 16


def nests(of: Sample, library: str, count: int) -> list[Any]:
    """Return nested maps: each level contains the next level twice."""
    nest = of.map(library)
    for _ in range(LEVELS):
        nest = LIBRARIES[library]({"a": nest, "b": nest})
    return [nest] * count


class Operation(NamedTuple):
    name: str
    codes: dict[str, Code]
    bars: tuple[Bar, ...]
    arguments: Arguments = nothing
    sizes: tuple[int, ...] = SIZES
    per_entry: bool = False
    """Whether the time is divided by the number of entries."""
    once: bool = False
    """Whether a repetition with the same argument would take a short cut."""
    kind: str = "str"
    """The type of the keys."""


def bar(limit: float) -> tuple[Bar, ...]:
    return (Bar(limit, PEER),)


def at_most(seconds: float) -> tuple[Bar, ...]:
    return (Bar(seconds, None),)


GET = everywhere(f"m[{EACH}]")
SET = modified(f"m.set({EACH}, new)", f"m.insert({EACH}, new)", f"copy[{EACH}] = new")
DELETE = modified(f"m.delete({EACH})", f"m.remove({EACH})", f"del copy[{EACH}]")
MERGE = {
    OURS: Code(f"m.merge({EACH}[0], {EACH}[1])", PATH),
    PEER: Code(f"merge_by_hand(m, {EACH}[0], {EACH}[1])", WHOLE),
    "dict": Code(f"merge_dicts(m, {EACH}[0], {EACH}[1])", WHOLE),
}
DIFF_BY_HAND = dict.fromkeys((PEER, "dict"), f"diff_by_hand(m, {EACH})")
HASHES = dict.fromkeys((PEER, "rpds"), f"hash({EACH})")
UPDATE = dict.fromkeys((OURS, PEER, "rpds"), Code("m.update(news)", LOOKED_UP * PATH))
MILLION = (1_000_000,)

OPERATIONS = [
    Operation("m[k]", GET, (*bar(0.9), Bar(1.15, "dict")), stored, SIZES[:-1]),
    Operation("m[k]", GET, bar(0.9), stored, MILLION),
    Operation("m.get(k)", everywhere(f"m.get({EACH})"), bar(0.5), stored),
    Operation("m.get(k), miss", everywhere(f"m.get({EACH})"), bar(0.9), absent),
    Operation("k in m", everywhere(f"{EACH} in m"), bar(0.9), stored),
    Operation("k in m, miss", everywhere(f"{EACH} in m"), bar(0.9), absent),
    Operation("set, existing key", SET, bar(0.5), stored),
    Operation("set, new key", SET, bar(0.5), absent),
    Operation("delete", DELETE, bar(0.5), stored),
    Operation("m[k], int keys", GET, bar(0.9), stored, (10_000,), kind="int"),
    Operation("set, int keys", SET, bar(0.5), stored, (10_000,), kind="int"),
    # These have no bar: in every map, hashing and comparing the keys takes most of the time.
    Operation("m[k], tuple keys", GET, (), stored, (10_000,), kind="tuple"),
    Operation("set, tuple keys", SET, (), stored, (10_000,), kind="tuple"),
    Operation("m[k], object keys", GET, (), stored, (10_000,), kind="object"),
    Operation("set, object keys", SET, (), stored, (10_000,), kind="object"),
    Operation("Map(dict), per entry", everywhere("make(entries)", WHOLE), bar(0.3), per_entry=True),
    Operation(
        "update with 1000 new keys",
        UPDATE | {"dict": Code("m | news", WHOLE)},
        bar(0.4),
        sizes=(100_000,),
    ),
    # A deque without length exhausts an iterator in C; a loop in Python would add its cost.
    Operation("keys, per entry", everywhere("use_up(m)", WHOLE), bar(0.9), per_entry=True),
    Operation("items, per entry", everywhere("use_up(m.items())", WHOLE), bar(0.7), per_entry=True),
    Operation(
        "==, made apart, per entry", everywhere("m == other", WHOLE), bar(0.6), per_entry=True
    ),
    Operation(
        "pickle.loads, per entry", everywhere("loads(pickled)", WHOLE), bar(0.6), per_entry=True
    ),
    Operation(
        "== after one edit",
        after_edit(f"m == {EACH}", dict.fromkeys(PEERS, f"m == {EACH}")),
        at_most(5e-6),
        equal_after_edit,
        MILLION,
    ),
    Operation(
        "diff after one edit",
        after_edit(f"m.diff({EACH})", DIFF_BY_HAND),
        at_most(5e-6),
        edited,
        MILLION,
    ),
    Operation(
        "hash after one edit",
        after_edit(f"hash({EACH})", HASHES),
        at_most(5e-6),
        edited,
        MILLION,
        once=True,
    ),
    Operation(
        "keys() & keys() of one key",
        beside_dict(f"{EACH}.keys() & m.keys()", LOOKUP),
        at_most(5e-6),
        single_keys,
        MILLION,
    ),
    Operation(
        "isdisjoint of items() of one key",
        beside_dict(f"{EACH}.items().isdisjoint(m.items())", LOOKUP),
        at_most(5e-6),
        single_keys,
        MILLION,
    ),
    Operation(
        "keys() == keys() after one edit",
        beside_dict(f"m.keys() == {EACH}.keys()", WHOLE),
        at_most(20e-6),
        equal_after_edit,
        MILLION,
    ),
    Operation(
        "items() ^ items() after one edit",
        beside_dict(f"m.items() ^ {EACH}.items()", WHOLE),
        at_most(40e-6),
        edited,
        MILLION,
    ),
    Operation(
        "one key selected by a set",
        {
            OURS: Code(f"{EACH}.intersection(key_set)", PATH),
            "dict": Code(f"{{k: v for k, v in {EACH}.items() if k in key_set}}", PATH),
        },
        at_most(5e-6),
        single_keys,
        MILLION,
    ),
    Operation(
        f"deepcopy of {VERSIONS} versions",
        dict.fromkeys((OURS, PEER, "dict"), Code(f"deepcopy({EACH})", WHOLE)),
        (Bar(0.2, "dict"),),
        histories,
        (1000,),
    ),
    Operation(
        f"deepcopy of {LEVELS} levels",
        dict.fromkeys((OURS, PEER, "dict"), Code(f"deepcopy({EACH})", 100 * PATH)),
        (Bar(1.5, "dict"),),
        nests,
        (5,),
    ),
    Operation("merge, 1 edit and 1", MERGE, at_most(5e-6), edited_twice(1), MILLION),
    Operation("merge, 1 edit and 10", MERGE, at_most(20e-6), edited_twice(10), (100_000,)),
]
