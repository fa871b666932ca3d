"""Operations on a map, including failing ones, that leave all objects unchanged.

Repeating them must not change the memory in use.
"""

from __future__ import annotations

import contextlib
import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import ctxvars
from ctxvars import Map, freeze, thaw
from tests.support.map.keys import CUTS

Loop = Callable[[], object]


class Key:
    def __init__(self, name: object, cut: str) -> None:
        self.name, self.cut = name, cut
        self.fails = False

    def __hash__(self) -> int:
        return CUTS[self.cut](hash(self.name))

    def __eq__(self, other: object) -> bool:
        if self.fails:
            raise ZeroDivisionError
        return isinstance(other, Key) and self.name == other.name


class Failing:
    """An object whose hash, comparison and representation raise."""

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


def raises(expected: type[BaseException], call: Callable[..., object], *arguments: Any) -> None:
    try:
        call(*arguments)
    except expected:
        return
    raise AssertionError(expected)


def fail(*_: object) -> Any:
    raise ZeroDivisionError


def pairs_that_fail(key: object, value: object) -> Any:
    yield key, value
    yield (key,)


def edited(map_: Map[Any, Any], *edits: Callable[[Any], object]) -> Any:
    mutation = map_.mutate()
    for edit in edits:
        edit(mutation)
    return mutation


def delete(mutation: Any, key: object) -> None:
    del mutation[key]


def loops(map_: Map[Any, Any], key: Key, missing: Key, value: object, cut: str) -> dict[str, Loop]:
    """Return operations that leave all objects unchanged, by name."""
    again = Key(key.name, cut)
    broken = Key("broken", cut)
    broken.fails = True
    other = map_.set(missing, value).map_values(lambda old: old)
    holder = map_.set("failing", Failing())
    nest = Map(a=Map(b=map_), dict={"x": value})
    changed, found = map_.set(key, 1), map_.diff(map_.set(key, value).set(missing, value))

    def half_iterated() -> None:
        for which in (map_.keys(), map_.values(), map_.items(), map_.mutate()):
            iterator = iter(which)
            next(iterator)

    def changed_while_iterated() -> None:
        mutation = map_.mutate()
        iterator = iter(mutation)
        next(iterator)
        mutation[missing] = value
        next(iterator)

    def in_block() -> None:
        with map_.mutate() as mutation:
            mutation[key] = missing
            raise ZeroDivisionError

    return {
        "look up": lambda: (map_[again], map_.get(missing), again in map_, missing in map_),
        "no such key": lambda: raises(KeyError, map_.__getitem__, missing),
        "unhashable key": lambda: raises(TypeError, map_.set, [], value),
        "set": lambda: (map_.set(key, value), map_.set(missing, value), map_.set(again, 1)),
        "delete": lambda: (map_.delete(again), map_.discard(key), map_.discard(missing)),
        "delete missing": lambda: raises(KeyError, map_.delete, missing),
        "update": lambda: (map_.update({missing: value}, other, x=value), map_ | other, {} | map_),
        "build": lambda: (Map([(key, 1), (again, value)]), Map(dict(map_)), Map(other, x=value)),
        "fromkeys": lambda: Map.fromkeys([key, again, missing], value),
        "build fails": lambda: raises(ValueError, Map, pairs_that_fail(key, value)),
        "update fails": lambda: raises(ValueError, map_.update, pairs_that_fail(missing, value)),
        "key fails": lambda: raises(ZeroDivisionError, map_.set, Failing(), value),
        "whole fails": lambda: raises(ZeroDivisionError, Map, [(key, 1), (Failing(), value)]),
        "diff": lambda: (map_.diff(other), list(other.diff(changed)), map_.diff(dict(other))),
        "apply": lambda: (map_.apply(found), other.apply(found), repr(found) and None),
        "apply to other": lambda: changed.apply(changed.diff(map_)),
        "merge": lambda: map_.merge(changed, other),
        "conflict": lambda: raises(ctxvars.MergeConflict, map_.merge, changed, map_.set(key, 2)),
        "resolve": lambda: map_.merge(changed, map_.set(key, 2), resolve=lambda *values: values),
        "resolve fails": lambda: raises(
            ZeroDivisionError,
            lambda: map_.merge(changed, map_.set(key, 2), resolve=fail),
        ),
        "select": lambda: (map_.intersection([again, missing]), map_.difference([key, missing])),
        "nested": lambda: (
            nest.get_in(["a", "b", again]),
            nest.set_in(("a", "b", missing), value),
            nest.set_in(["new", "levels"], value),
            nest.update_in(["a", "b", again], lambda old: [old]),
            nest.update_in(["dict", missing], lambda old: [old], value),
            nest.delete_in(["dict", "x"]),
            nest.merge_deep({"a": {"b": other}}, {"dict": map_}),
        ),
        "nested fails": lambda: (
            raises(TypeError, nest.get_in, "ab"),
            raises(TypeError, nest.get_in, ["dict", "x", "y"]),
            raises(ValueError, nest.set_in, [], value),
            raises(KeyError, nest.delete_in, ["a", "b", missing]),
            raises(ZeroDivisionError, nest.set_in, ["a", "b", Failing()], value),
            raises(ZeroDivisionError, nest.update_in, ["a", "b", key], fail),
        ),
        "freeze": lambda: freeze({"a": [map_, {1}], "b": ({"c": [value]},)}),
        "thaw": lambda: thaw(nest),
        "hooks": lambda: (map_.__rich_repr__(), other.__replace__(x=value)),
        "filter": lambda: map_.filter(lambda k, v: k is key),
        "filter fails": lambda: raises(ZeroDivisionError, map_.filter, fail),
        "map_values": lambda: map_.map_values(lambda old: [old]),
        "map_values fails": lambda: raises(ZeroDivisionError, map_.map_values, fail),
        "iterate": lambda: (list(map_), list(map_.values()), list(map_.items()), half_iterated()),
        "views": lambda: (map_.keys() & other.keys(), map_.items() ^ other.items()),
        "views in": lambda: (again in map_.keys(), value in map_.values()),  # noqa: SIM118
        "view fails": lambda: raises(
            ZeroDivisionError, operator.contains, holder.values(), object()
        ),
        "compare": lambda: (map_ == other, map_ != dict(map_), map_ == 1, map_.keys() <= {key}),
        "compare fails": lambda: raises(ZeroDivisionError, holder.__eq__, map_.set("failing", 1)),
        "hash": lambda: (hash(Map({key: value})), hash(map_.set(key, missing))),
        "hash fails": lambda: raises(ZeroDivisionError, hash, holder),
        "repr": lambda: (repr(map_), repr(map_.keys()), repr(map_.mutate())),
        "repr fails": lambda: raises(ZeroDivisionError, repr, holder),
        "copy": lambda: (map_.copy(), copy.copy(map_), copy.deepcopy(map_)),
        "reduce": lambda: (map_.__reduce__(), pickle.loads(pickle.dumps(Map(a=[1])))),
        "edit": lambda: edited(
            map_,
            lambda m: m.set(key, 1),
            lambda m: m.set(missing, value),
            lambda m: m.pop(again),
            lambda m: m.setdefault(key, value),
            lambda m: m.update(other),
            lambda m: delete(m, missing),
            lambda m: m.popitem(),
            lambda m: m.finish(),
        ),
        "edit a copy": lambda: edited(
            map_,
            lambda m: m.set(key, 1),
            lambda m: m.copy().set(missing, value),
            lambda m: m | other | {missing: value},
            lambda m: {missing: value} | m,
            lambda m: m.__ior__(other).__ior__({missing: value}),
            lambda m: raises(ZeroDivisionError, m.__ior__, [(Failing(), value)]),
        ),
        "edit and clear": lambda: edited(
            map_, lambda m: m.set(missing, m), lambda m: m.clear(), lambda m: m.set(key, value)
        ),
        "edit fails": lambda: (
            raises(KeyError, edited, map_, lambda m: delete(m, missing)),
            raises(KeyError, edited, map_, lambda m: m.pop(missing)),
            raises(ValueError, edited, map_, lambda m: m.finish(), lambda m: m.set(key, 1)),
            raises(ZeroDivisionError, edited, map_, lambda m: m.set(Failing(), value)),
            raises(ValueError, edited, map_, lambda m: m.update(pairs_that_fail(missing, value))),
        ),
        "block fails": lambda: raises(ZeroDivisionError, in_block),
        "changed while iterated": lambda: raises(RuntimeError, changed_while_iterated),
        "compared key fails": lambda: contextlib.suppress(ZeroDivisionError).__exit__(
            *outcome(lambda: map_.set(broken, value))
        ),
        "cycle": lambda: [map_].append(map_.set(missing, [])),
        "wrong calls": lambda: (
            raises(TypeError, Map, 1),
            raises(TypeError, map_.set, key),
            raises(TypeError, map_.diff, value),
            raises(TypeError, map_.apply, value),
            raises(TypeError, map_.filter, value),
            raises(TypeError, map_.merge, value, map_),
        ),
    }


def outcome(call: Loop) -> tuple[Any, Any, Any]:
    try:
        call()
    except ZeroDivisionError as error:
        return type(error), error, None
    return None, None, None
