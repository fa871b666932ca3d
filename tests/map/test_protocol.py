"""`Map` and `MapMutation` as Python objects: identity, errors, equality, hashing, ABCs, syntax."""

from __future__ import annotations

import operator
import re
import sys
import typing
import weakref
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Reversible
from typing import Any

import pytest

from ctxvars import Map, MapDiff, MapMutation

SIZES = [0, 1, 3, 16, 17, 100, 1000]


def numbered(size: int) -> Map[int, str]:
    return Map({number: f"value {number}" for number in range(size)})


# Operations without effect return the map itself, so `is` shows that it has not changed.

UNCHANGED: dict[str, Callable[[Map[Any, Any]], object]] = {
    "Map(m)": Map,
    "copy": lambda m: m.copy(),
    "set": lambda m: [m.set(k, v) is m for k, v in m.items()] == [True] * len(m) and m,
    "discard": lambda m: m.discard("missing"),
    "update()": lambda m: m.update(),
    "update({})": lambda m: m.update({}),
    "update((), {})": lambda m: m.update((), {}),
    "update(self)": lambda m: m.update(m),
    "update(a dict of it)": lambda m: m.update(dict(m)),
    "update(its items)": lambda m: m.update(list(m.items())),
    "| {}": lambda m: m | {},
    "| Map()": lambda m: m | Map(),
    "| m": lambda m: m | m,
    "| dict(m)": lambda m: m | dict(m),
    "filter": lambda m: m.filter(lambda k, v: True),
    "map_values": lambda m: m.map_values(lambda v: v),
    "intersection(self)": lambda m: m.intersection(m),
    "intersection(keys)": lambda m: m.intersection([*m, "missing"]),
    "difference": lambda m: m.difference(["missing"]),
    "difference()": lambda m: m.difference(()),
    "apply": lambda m: m.apply(m.diff(m)),
    "apply an equal one": lambda m: m.apply(m.diff(dict(m))),
    "mutate and finish": lambda m: m.mutate().finish(),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", UNCHANGED)
def test_an_edit_that_changes_nothing_returns_the_map_itself(name: str, size: int) -> None:
    map_ = numbered(size)
    assert UNCHANGED[name](map_) is map_


def test_an_equal_value_is_a_change_but_an_equal_key_is_none() -> None:
    one, equal = [1], [1]
    map_ = Map({1: one})
    assert map_.set(True, one) is map_
    changed = map_.set(1.0, equal)
    assert changed is not map_
    assert changed == map_
    assert changed[1] is equal
    assert [type(key) for key in changed] == [int]


def test_finish_gives_the_same_map_each_time() -> None:
    mutation = numbered(20).mutate()
    mutation["new"] = 1
    finished = mutation.finish()
    assert mutation.finish() is finished
    assert finished == {**numbered(20), "new": 1}
    mutation.__exit__(None, None, None)
    assert mutation.finish() is finished


# Errors.


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class NotAMapping:
    """Has `keys`, and no other method of a mapping."""

    def keys(self) -> list[int]:
        return [1]


def raised_by(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        call()
    return raised.type, str(raised.value).replace("as a dict key", "as a Map key")


# Expressions that must raise what they raise with dict. `d` is a mapping of {1: 2}.
AS_DICT = """
d[[]]
d[Unhashable()]
d[9]
d[(1, [])]
[] in d
Unhashable() in d
d.get([])
d.get()
d.get(1, 2, 3)
make(1)
make(None)
make([1])
make([1, (2, 3)])
make([(1, 2), 3])
make([(1,)])
make([(1, 2), (1, 2, 3)])
make(['abc'])
make([([], 1)])
make(NotAMapping())
make(**{'a': 1}, x=2)[1]
make(object())
make.fromkeys(1)
make.fromkeys([[]])
make.fromkeys()
make.fromkeys(1, 2, 3)
d | 1
d | [(1, 2)]
1 | d
[(1, 2)] | d
d | None
d + d
d < d
d >= d
d()
d[1]()
d.missing
int(d)
""".strip().splitlines()

ADAPTED = [("dictionary", "map"), ("'dict'", "'Map'")]
# From 3.14 on, a note has the number of the element.
NOT_ITERABLE = "object is not iterable"


@pytest.mark.parametrize("expression", AS_DICT)
def test_errors_are_those_of_dict(expression: str) -> None:
    def evaluate(make: type[Any]) -> tuple[str, str]:
        names = {**globals(), "make": make, "d": make({1: 2})}
        type_, message = raised_by(lambda: eval(expression, names))
        return type_.__name__, message

    expected_type, expected = evaluate(dict)
    for theirs, ours in ADAPTED:
        expected = expected.replace(theirs, ours)
    found_type, found = evaluate(Map)
    found = found.replace("'ctxvars.", "'")
    assert found_type == expected_type
    if "argument" in expected or "fromkeys" in expected:
        # Messages about the number of arguments depend on the calling convention.
        assert found_type == "TypeError"
    elif expected == NOT_ITERABLE:
        assert re.fullmatch(r"cannot convert map update sequence element #\d to a sequence", found)
    else:
        assert found == expected


@pytest.mark.parametrize("name", ["set", "delete", "discard", "get", "__getitem__", "__contains__"])
def test_unhashable_keys(name: str) -> None:
    for key in ([], {}, set(), Unhashable(), (1, [])):
        expected = raised_by(lambda key=key: {}[key])
        arguments = (key, 1) if name == "set" else (key,)
        assert (
            raised_by(lambda arguments=arguments: getattr(Map(a=1), name)(*arguments)) == expected
        )
        if name != "delete":
            mutation = Map(a=1).mutate()
            found = raised_by(lambda m=mutation, a=arguments: getattr(m, name)(*a))
            assert found == expected


@pytest.mark.parametrize("key", [9, "missing", (1, 2), None, (), KeyError("nested")])
def test_missing_keys(key: Hashable) -> None:
    map_, mutation = Map({1: 2}), Map({1: 2}).mutate()
    for call in (
        lambda: map_[key],
        lambda: map_.delete(key),
        lambda: mutation[key],
        lambda: operator.delitem(mutation, key),
        lambda: mutation.pop(key),
    ):
        with pytest.raises(KeyError) as raised:
            call()
        assert raised.value.args == (key,)
        assert raised.value.args[0] is key


def test_wrong_calls_are_type_errors_that_change_nothing() -> None:
    map_, mutation = Map({1: 2}), Map({1: 2}).mutate()
    for call in (
        lambda: Map({}, {}),
        lambda: map_.set(1),
        lambda: map_.set(1, 2, 3),
        lambda: map_.set(key=1, value=2),
        lambda: map_.get(key=1),
        lambda: map_.delete(),
        lambda: map_.discard(1, 2),
        lambda: map_.update(1),
        lambda: map_.update({}, None),
        lambda: map_.filter(),
        lambda: map_.filter(None),
        lambda: map_.filter(lambda k: True),
        lambda: map_.map_values(1),
        lambda: map_.intersection(1),
        lambda: map_.intersection([[]]),
        lambda: map_.difference(None),
        lambda: map_.difference([[]]),
        lambda: map_.apply({}),
        lambda: map_.diff(),
        lambda: operator.setitem(map_, 1, 2),
        lambda: operator.delitem(map_, 1),
        lambda: reversed(map_),
        lambda: reversed(mutation),
        lambda: reversed(map_.keys()),
        lambda: reversed(map_.items()),
        lambda: reversed(map_.values()),
        lambda: hash(mutation),
        lambda: {mutation},
        lambda: mutation.update(1),
        lambda: mutation.pop(),
        lambda: mutation.pop(1, 2, 3),
        lambda: mutation.finish(1),
        lambda: mutation.setdefault(),
        MapMutation,
        lambda: MapMutation({}),
        lambda: object.__new__(MapMutation),
        lambda: object.__new__(Map),
        lambda: type("Sub", (Map,), {}),
        lambda: type("Sub", (MapMutation,), {}),
        lambda: setattr(Map, "get", None),
    ):
        assert raised_by(call)[0] is TypeError
    for name in ("x", "get", "__dict__", "__class__"):
        for object_ in (map_, mutation, map_.keys()):
            with pytest.raises((AttributeError, TypeError)):
                setattr(object_, name, 1)
    assert map_ == mutation == {1: 2}


def test_error_messages_name_the_wrong_argument() -> None:
    assert "mapping" in raised_by(lambda: Map({}).diff(1))[1]
    assert "MapDiff" in raised_by(lambda: Map({}).apply([]))[1]
    assert "mapping" in raised_by(lambda: Map().merge(1, Map()))[1]
    assert "not iterable" in raised_by(lambda: Map({}).update(3.5))[1]
    assert "float" in raised_by(lambda: Map({}).update(3.5))[1]


def test_names_that_could_be_parameters_are_keys() -> None:
    names = dict.fromkeys(["self", "cls", "collection", "collections", "key", "other", "kwargs"], 1)
    assert Map(**names) == Map().update(**names) == names
    assert Map({"self": 0, "x": 2}, **names) == {**names, "x": 2}
    mutation = Map().mutate()
    mutation.update(**names)
    assert mutation.finish() == names


def test_the_last_of_equal_keys_wins_and_the_first_stays() -> None:
    map_ = Map([(1, "int"), (True, "bool"), (1.0, "float")])
    assert list(map_.items()) == [(1, "float")]
    assert type(next(iter(map_))) is int


# Types, syntax, and the rest.


def test_abstract_base_classes() -> None:
    map_, mutation = Map({1: 2}), Map({1: 2}).mutate()
    assert isinstance(map_, Mapping)
    assert isinstance(map_, Hashable)
    assert not isinstance(map_, MutableMapping)
    assert not isinstance(map_, Reversible)
    assert isinstance(mutation, MutableMapping)
    assert not isinstance(mutation, Hashable)
    assert not isinstance(mutation, Reversible)
    assert not issubclass(Map, dict)


def test_match_statement() -> None:
    match Map(kind="circle", radius=2, colour="red"):
        case {"kind": "square"}:
            raise AssertionError
        case {"kind": "circle", "radius": int(radius), **rest}:
            assert radius == 2
            assert rest == {"colour": "red"}
        case _:
            raise AssertionError
    match Map():
        case [*_]:
            raise AssertionError
        case {}:
            pass


def test_generic_alias() -> None:
    for class_ in (Map, MapMutation, MapDiff):
        alias = class_[int, str]
        assert typing.get_origin(alias) is class_
        assert typing.get_args(alias) == (int, str)
    assert Map[int, str]({1: "a"}) == {1: "a"}


def test_unpacking_and_formatting() -> None:
    map_ = Map(a=1, b=2)
    assert {**map_} == dict(**map_) == {"a": 1, "b": 2}
    assert dict(map_) == dict(map_.items()) == {"a": 1, "b": 2}
    assert "{a} {b}".format(**map_) == "{a} {b}".format_map(map_) == "1 2"
    assert bool(map_) is True
    assert bool(Map()) is False


@pytest.mark.parametrize("size", [0, 1, 100])
def test_weak_references(size: int) -> None:
    map_, mutation = numbered(size).set("x", 1), Map({1: 2}).mutate()
    weak, weak_mutation = weakref.ref(map_), weakref.ref(mutation)
    assert weak() is map_
    assert weakref.WeakValueDictionary(m=map_)["m"] is map_
    del map_, mutation
    assert weak() is None
    assert weak_mutation() is None


def test_size_in_memory() -> None:
    # A small map is one object. For a larger map, it is the size of the root, which is bounded.
    sizes = [sys.getsizeof(numbered(size)) for size in range(100)]
    assert sizes[:17] == sorted(sizes[:17])
    assert sizes[16] - sizes[1] >= 15 * 16
    assert all(32 <= size <= 512 for size in sizes)
    assert sys.getsizeof(numbered(10).mutate()) >= 16
