"""Operations on maps and classes, for the table in `contexts`."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from typing import Any

import ctxvars
from ctxvars import Map, Set, _core, classes, freeze, thaw
from tests.support.allocation.contexts import Case, add, operation, resolve

# Maps

SMALL = Map(a=1, b=2)
LARGE = Map({number: str(number) for number in range(300)})
OTHER = LARGE.update(dict.fromkeys(range(290, 310), "new")).delete(0).set(1, "other")
THIRD_MAP = LARGE.set(2, "third").set(1, "third")
DICT = {number: number for number in range(60)}
PAIRS = list(DICT.items())
NESTED = Map(map=Map(large=LARGE), dict=DICT)
NAMED = Map({f"key {number}": number for number in range(60)})


def is_odd(_: str, value: int) -> bool:
    return value % 2 == 1


def on_maps(name: str, run: Callable[[], object]) -> None:
    maps = (SMALL, LARGE, OTHER, THIRD_MAP, NAMED, NESTED)
    add("maps", name, lambda: Case(run, lambda: [dict(each) for each in maps]))


on_maps("new of a dict", lambda: Map(DICT))
on_maps("new of pairs", lambda: Map(PAIRS))
on_maps("new of an iterator", lambda: Map(iter(PAIRS)))
on_maps("new of lists", lambda: Map([[1, 2], [3, 4]]))
on_maps("new of keywords", lambda: Map(a=1, b=2, c=3))
on_maps("new of both", lambda: Map(DICT, a=1))
on_maps("fromkeys", lambda: Map.fromkeys(range(60)))
on_maps("subscript", lambda: (LARGE[5], LARGE.get(1000), 5 in LARGE, len(LARGE)))
on_maps("set", lambda: LARGE.set(5, "new"))
on_maps("set a new key", lambda: LARGE.set(5000, "new"))
on_maps("set in a small one", lambda: SMALL.set("c", 3))
on_maps("delete", lambda: LARGE.delete(5))
on_maps("delete from a small one", lambda: SMALL.delete("a"))
on_maps("discard", lambda: (LARGE.discard(5), LARGE.discard(5000)))
on_maps("update from a dict", lambda: LARGE.update(DICT))
on_maps("update from a few", lambda: LARGE.update({1: "new", 5000: "new"}))
on_maps("update from a map", lambda: LARGE.update(OTHER))
on_maps("update from pairs", lambda: LARGE.update(PAIRS, a=1))
on_maps("union", lambda: LARGE | OTHER)
on_maps("union with a dict", lambda: (SMALL | {"c": 3}, {"c": 3} | SMALL))
on_maps("intersection", lambda: LARGE.intersection(OTHER))
on_maps("intersection with keys", lambda: LARGE.intersection(range(10)))
on_maps("difference", lambda: (LARGE.difference(OTHER), LARGE.difference(range(290))))
on_maps("diff", lambda: LARGE.diff(OTHER))
on_maps("diff to a dict", lambda: SMALL.diff({"a": 1, "c": 3}))
on_maps("apply", lambda: LARGE.apply(LARGE.diff(OTHER)))
on_maps("filter", lambda: NAMED.filter(is_odd))
on_maps("map_values", lambda: NAMED.map_values(str))
on_maps("merge", lambda: LARGE.merge(OTHER, LARGE.set(5, "third")))
on_maps("merge and resolve", lambda: LARGE.merge(OTHER, THIRD_MAP, resolve=resolve))
on_maps("get_in", lambda: NESTED.get_in(["map", "large", 5]))
on_maps("set_in", lambda: NESTED.set_in(["map", "large", 5], "new"))
on_maps("set_in, new levels", lambda: SMALL.set_in(("c", "d", "e"), 1))
on_maps("set_in a dict", lambda: NESTED.set_in(["dict", 5], "new"))
on_maps("update_in", lambda: NESTED.update_in(iter(["map", "large", 5]), str))
on_maps("delete_in", lambda: (NESTED.delete_in(["map", "large", 5]), SMALL.delete_in(["a"])))
on_maps("merge_deep", lambda: NESTED.merge_deep({"map": {"large": OTHER}, "dict": {1: "new"}}))
on_maps("replace", lambda: SMALL.__replace__(a=5))
on_maps("freeze and thaw", lambda: thaw(freeze({"a": [1, {2}], "b": NESTED})))
on_maps("rich repr", lambda: SMALL.__rich_repr__())
on_maps("==", lambda: (LARGE == OTHER, Map(dict(LARGE)) == LARGE, dict(NAMED) == NAMED))
on_maps("hash", lambda: type(hash(Map(DICT))))
on_maps("repr", lambda: (repr(SMALL), repr(SMALL.keys()), repr(SMALL.items())))
on_maps("iterate", lambda: (list(SMALL), list(SMALL.values()), list(SMALL.items())))
on_maps("iterate and keep", lambda: list(LARGE.items()))
on_maps("reversed views", lambda: (sorted(SMALL.keys()), sorted(SMALL.items())))
on_maps("views and", lambda: (NAMED.keys() & {"key 1"}, NAMED.items() & {("key 1", 1)}))
on_maps("views or", lambda: (SMALL.keys() | {"c"}, SMALL.items() | {("c", 3)}))
on_maps("views minus", lambda: (SMALL.keys() - {"a"}, SMALL.items() - {("a", 1)}))
on_maps("views xor", lambda: (SMALL.keys() ^ {"a", "c"}, SMALL.items() ^ {("a", 1)}))
on_maps("views of maps", lambda: (SMALL.keys() & NAMED.keys(), SMALL.items() ^ NAMED.items()))
on_maps("views ==", lambda: (SMALL.keys() == {"a", "b"}, SMALL.items() <= NAMED.items()))
on_maps("views isdisjoint", lambda: SMALL.keys().isdisjoint(NAMED.keys()))
on_maps("view mapping", lambda: SMALL.keys().mapping)
on_maps("copy", lambda: (copy.copy(SMALL), SMALL.copy()))
on_maps("deepcopy", lambda: copy.deepcopy(Map(a=[1])))
on_maps("reduce", SMALL.__reduce__)
on_maps("pickle", lambda: pickle.loads(pickle.dumps(SMALL)))
on_maps("sizeof", lambda: type(sys.getsizeof(LARGE)))
on_maps("mutate", lambda: LARGE.mutate())
on_maps("copy of a mutation", lambda: LARGE.mutate().copy())
on_maps("union of mutations", lambda: (LARGE.mutate() | OTHER, {1: "new"} | LARGE.mutate()))
on_maps("union in place", lambda: LARGE.mutate().__ior__(DICT))


# Sets

FEW = Set("ab")
MANY = Set(range(300))
OTHERS = (MANY - {0, 1}) | Set(range(290, 310))


def is_odd_number(number: int) -> bool:
    return number % 2 == 1


def on_sets(name: str, run: Callable[[], object]) -> None:
    add("sets", name, lambda: Case(run, lambda: [{*each} for each in (FEW, MANY, OTHERS)]))


on_sets("new of a list", lambda: Set([*range(60)]))
on_sets("new of an iterator", lambda: Set(iter(range(60))))
on_sets("new of a map", lambda: Set(SMALL))
on_sets("new of nothing", lambda: Set())
on_sets("in", lambda: (5 in MANY, 1000 in MANY, len(MANY)))
on_sets("in, of a set", lambda: {1} in MANY)
on_sets("add", lambda: (MANY.add(5000), FEW.add("c"), FEW.add("a")))
on_sets("remove", lambda: (MANY.remove(5), MANY.discard(5), MANY.discard(5000)))
on_sets("|", lambda: (MANY | OTHERS, FEW | {"c"}, {"c"} | FEW))
on_sets("&", lambda: (MANY & OTHERS, FEW & {"a"}, {"a"} & FEW))
on_sets("-", lambda: (MANY - OTHERS, FEW - {"a"}, {"c"} - FEW))
on_sets("^", lambda: (MANY ^ OTHERS, FEW ^ {"a"}, {"c"} ^ FEW))
on_sets("union of several", lambda: MANY.union(range(290, 310), OTHERS))
on_sets("intersection of several", lambda: MANY.intersection(range(10), OTHERS))
on_sets("difference of several", lambda: MANY.difference(range(290), OTHERS))
on_sets("symmetric_difference", lambda: MANY.symmetric_difference(range(290, 310)))
on_sets("filter a set", lambda: MANY.filter(is_odd_number))
on_sets("compare", lambda: (MANY == OTHERS, {*OTHERS} >= MANY, frozenset("abc") > FEW, FEW == 1))
on_sets("subsets", lambda: (FEW.issubset("abc"), FEW.issuperset("a"), FEW.isdisjoint("c")))
on_sets("views and sets", lambda: (SMALL.keys() & FEW, FEW | SMALL.keys()))
on_sets("hash of a set", lambda: hash(Set(range(20))))
on_sets("repr of a set", lambda: (sorted(repr(FEW)), repr(Set())))
on_sets("iterate over a set", lambda: sorted(FEW))
on_sets("copies", lambda: (copy.copy(FEW), copy.deepcopy(FEW)))
on_sets("reduce a set", lambda: len(FEW.__reduce__()))


@operation("sets")
def add_to_a_set_mutation() -> Case:
    mutation = MANY.mutate()
    mutation.add("first")
    return Case(lambda: mutation.add(5000), lambda: ({*mutation}, len(mutation)))


@operation("sets")
def combine_a_set_mutation() -> Case:
    mutation = MANY.mutate()
    mutation.add("first")
    return Case(lambda: mutation.update(range(290, 310), OTHERS), lambda: {*mutation})


@operation("maps")
def key_errors() -> Case:
    def run() -> object:
        try:
            return SMALL["missing"]
        except KeyError as error:
            return error.args

    return Case(run, lambda: dict(SMALL))


@operation("maps")
def wrong_arguments() -> Case:
    def run() -> object:
        try:
            return SMALL.get()  # type: ignore[call-overload]
        except TypeError as error:
            return error.args

    return Case(run, lambda: dict(SMALL))


# Mutations


def on_mutations(
    name: str, run: Callable[[ctxvars.MapMutation[Any, Any]], object], of: Map[Any, Any] = LARGE
) -> None:
    def prepare() -> Case:
        mutation = of.mutate()
        mutation["first"] = (
            "edit"  # The mutation owns the nodes on this path, and shares the others.
        )

        def state() -> object:
            # Whatever is found by iteration is found by its key, and the length is right.
            found = dict(mutation)
            keyed = {key: mutation[key] for key in found}
            return found, keyed == found, len(mutation) == len(found), dict(of)

        return Case(lambda: run(mutation), state)

    add("mutations", name, prepare)


def delete(mutation: ctxvars.MapMutation[Any, Any]) -> None:
    del mutation[5]


def delete_nearly_all(mutation: ctxvars.MapMutation[Any, Any]) -> None:
    for key in [*mutation][:-6]:
        mutation.discard(key)


on_mutations("set", lambda mutation: mutation.__setitem__(5, "new"))
on_mutations("set a new key", lambda mutation: mutation.set(5000, "new"))
on_mutations("delete", delete)
on_mutations("discard", lambda mutation: mutation.discard(5))
on_mutations("pop", lambda mutation: (mutation.pop(5), mutation.pop(5000, "default"))[1])
on_mutations("popitem", lambda mutation: len(mutation.popitem()))
on_mutations("popitem of a small one", lambda mutation: len(mutation.popitem()), Map())
on_mutations("setdefault", lambda mutation: mutation.setdefault(5000, "new"))
on_mutations("update", lambda mutation: mutation.update(DICT))
on_mutations("update from a map", lambda mutation: mutation.update(OTHER, a=1))
on_mutations("clear", lambda mutation: mutation.clear())
on_mutations("get", lambda mutation: (mutation.get(5), mutation.get(5000), 5 in mutation))
on_mutations("iterate", lambda mutation: list(mutation))
on_mutations("views", lambda mutation: [list(mutation.keys()), len(mutation.items())])
on_mutations("repr", lambda mutation: repr(mutation), SMALL)
on_mutations("==", lambda mutation: (mutation == dict(mutation), mutation == LARGE))
on_mutations("finish", lambda mutation: mutation.finish())
on_mutations("fall back to a leaf", lambda mutation: mutation.discard(1), Map.fromkeys(range(16)))
on_mutations("grow to a branch", lambda mutation: mutation.set(16, 1), Map.fromkeys(range(15)))


# Classes


class Meta(type): ...


class Entries:
    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type]:
        return (int,)


def class_body() -> None:
    attribute = 1  # noqa: F841


def observe(step: str, value: object) -> None: ...


def on_classes(name: str, run: Callable[[], object]) -> None:
    add("classes", name, lambda: Case(run, lambda: None))


on_classes("build_class", lambda: classes.build_class(class_body, "C"))
on_classes("of a base", lambda: classes.build_class(class_body, "C", int))
on_classes("of entries", lambda: classes.build_class(class_body, "C", Entries()))
on_classes("of a metaclass", lambda: classes.build_class(class_body, "C", metaclass=Meta))
on_classes("run_body", lambda: classes.run_body(class_body, {}))
on_classes("observed", lambda: _core.build_class_observed(observe, class_body, "C", metaclass=Meta))
