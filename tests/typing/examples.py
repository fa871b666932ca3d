"""Uses of the package that type checkers must accept.

`mypy --strict` checks this file, and Python imports it, so the declarations match the behaviour.
"""

from __future__ import annotations

import asyncio
import contextvars as native_contextvars
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, assert_type

import ctxvars
import ctxvars.contextvars
from ctxvars import (
    MISSING,
    Change,
    Context,
    ContextVar,
    Map,
    MapDiff,
    MapItems,
    MapKeys,
    MapMutation,
    MapValues,
    MergeConflict,
    Token,
    copy_context,
)

K = TypeVar("K")
V = TypeVar("V")

user: ContextVar[str] = ContextVar("user")
depth = ContextVar("depth", default=0)


def variables() -> None:
    assert_type(user.name, str)
    assert_type(depth, ContextVar[int])
    assert_type(depth.get(), int)
    assert_type(depth.get(1), int)
    assert_type(user.get(None), str | None)
    assert_type(hash(user), int)
    ContextVar[int]("generic")


def tokens() -> None:
    token = depth.set(1)
    assert_type(token, Token[int])
    assert_type(token.var, ContextVar[int])
    assert_type(token.old_value is Token.MISSING, bool)
    depth.reset(token)
    with depth.set(2) as entered:
        assert_type(entered, Token[int])


def scale(number: int, *, factor: float) -> float:
    return number * factor


def contexts() -> None:
    context = copy_context()
    assert_type(context, Context)
    assert_type(context.copy(), Context)
    assert_type(context.run(scale, 2, factor=1.5), float)
    assert_type(context.run(user.set, "Ada"), Token[str])
    assert_type(context[user], str)
    assert_type(context.get(user), str | None)
    assert_type(context.get(depth, 0), int)
    assert_type(context.get(user, 0), str | int)
    assert_type(user in context, bool)
    assert_type(len(context), int)
    assert_type(iter(context), Iterator[ContextVar[Any]])
    mapping: Mapping[ContextVar[Any], Any] = context
    assert_type(dict(mapping), dict[ContextVar[Any], Any])
    assert_type(context == Context(), bool)
    assert_type(context.bindings, Map[ContextVar[Any], Any])
    assert_type(context.diff(context.copy()), MapDiff[ContextVar[Any], Any])


def bridges() -> None:
    native = Context().native
    assert_type(native, native_contextvars.Context)
    assert_type(Context.wrap(native), Context)


def shim() -> None:
    assert_type(ctxvars.contextvars.copy_context(), Context)
    assert_type(ctxvars.contextvars.ContextVar("shim", default=""), ContextVar[str])


def making_maps() -> None:
    assert_type(Map(a=1), Map[str, int])
    assert_type(Map({1: "one"}), Map[int, str])
    assert_type(Map(enumerate("ab")), Map[int, str])
    assert_type(Map((number, str(number)) for number in range(3)), Map[int, str])
    assert_type(Map({"a": 1}, b=2), Map[str, int])
    assert_type(Map(Map(a=1)), Map[str, int])
    assert_type(Map[str, int](), Map[str, int])
    assert_type(Map.fromkeys("ab", 0), Map[str, int])
    empty: Map[str, int] = Map()
    optional: Map[str, int | None] = Map.fromkeys("ab")
    assert_type(empty.copy(), Map[str, int])
    assert_type(optional["a"], int | None)


def grouped(pairs: Mapping[K, V]) -> Map[K, V]:
    """The types of keys need no bound: mypy treats an unbound type as hashable."""
    return Map(pairs)


def reading_maps() -> None:
    ages = Map(Ada=36, Alan=41)
    assert_type(ages["Ada"], int)
    assert_type(ages.get("Ada"), int | None)
    assert_type(ages.get("Ada", 0), int)
    assert_type(ages.get("Ada", ""), int | str)
    assert_type("Ada" in ages, bool)
    assert_type(len(ages), int)
    assert_type(iter(ages), Iterator[str])
    assert_type(hash(ages), int)
    assert_type(ages == {"Ada": 36, "Alan": 41}, bool)
    assert_type(dict(ages), dict[str, int])
    assert_type(grouped(ages), Map[str, int])
    assert_type(total(ages), float)


def total(numbers: Map[str, float]) -> float:
    """Maps are covariant in their values, as they cannot change: `Map[str, int]` is accepted."""
    mapping: Mapping[str, float] = numbers
    return sum(mapping.values())


def views() -> None:
    ages = Map(Ada=36, Alan=41)
    # The classes of the views are generic for type checkers only, as those of dict.
    keys: MapKeys[str, int] = ages.keys()
    values: MapValues[str, int] = ages.values()
    items: MapItems[str, int] = ages.items()
    assert_type(keys & {"Ada"}, set[str])
    assert_type(keys | [1], set[str | int])
    assert_type(items - {"Ada": 36}.items(), set[tuple[str, int]])
    assert_type(keys <= {"Ada"}, bool)
    assert_type(keys.isdisjoint([]), bool)
    assert_type(max(values), int)
    assert_type(keys.mapping, Map[str, int])


def deriving_maps() -> None:
    ages = Map(Ada=36, Alan=41)
    assert_type(ages.set("Ada", 37), Map[str, int])
    assert_type(ages.set("Ada", "37"), Map[str, int | str])
    assert_type(ages.delete("Ada"), Map[str, int])
    assert_type(ages.discard("Grace"), Map[str, int])
    assert_type(ages.update({"Ada": 37}, [("Grace", 85)], Alan=42), Map[str, int])
    assert_type(ages.update(Ada=None), Map[str, int | None])
    assert_type(ages | {"Ada": 37}, Map[str, int])
    assert_type({"Ada": 37} | ages, Map[str, int])
    assert_type(ages | {1: "one"}, Map[str | int, int | str])
    assert_type(ages.intersection(["Ada", 1]), Map[str, int])
    assert_type(ages.difference({"Ada"}), Map[str, int])
    assert_type(ages.filter(lambda name, age: age > 40 and name), Map[str, int])
    assert_type(ages.map_values(str), Map[str, str])
    # The declaration decides the type of an empty map.
    lists: Map[str, list[int]] = Map()
    lists = lists.set("a", [])
    lists = lists.update({"b": []}, c=[]) | {"d": []}


def mutations() -> None:
    with Map(Ada=36, Alan=41).mutate() as ages:
        assert_type(ages, MapMutation[str, int])
        ages["Grace"] = 85
        ages.set("Ada", 37)
        ages.update({"Ada": 38}, [("Alan", 42)], Grace=86)
        ages.discard("nobody")
        assert_type(ages.pop("Ada"), int)
        assert_type(ages.pop("Ada", None), int | None)
        assert_type(ages.setdefault("Ada", 36), int)
        assert_type(ages.get("Ada"), int | None)
        assert_type(ages.popitem(), tuple[str, int])
    assert_type(ages.finish(), Map[str, int])


def differences() -> None:
    old, new = Map(a=1, b=2), Map(b=3, c=4)
    diff = old.diff(new)
    assert_type(diff, MapDiff[str, int])
    assert_type(diff.added, Map[str, int])
    assert_type(diff.removed, Map[str, int])
    assert_type(diff.changed, Map[str, tuple[int, int]])
    assert_type(iter(diff), Iterator[Change])
    assert_type(old.apply(diff), Map[str, int])
    assert_type(old.diff({"a": "x"}), MapDiff[str, int | str])
    assert_type(old.merge(old.set("a", 2), old.delete("b")), Map[str, int])
    assert_type(old.merge(new, {"b": 4}, resolve=larger), Map[str, int])
    assert_type(old.merge(new, {"b": 4}, resolve=lambda *_: MISSING), Map[str, int])
    try:
        old.merge(new, {"b": 4})
    except MergeConflict as conflict:
        assert_type(conflict.conflicts, tuple[ctxvars.Conflict, ...])


def larger(key: str, base: object, ours: object, theirs: object) -> int:
    return max(value for value in (ours, theirs) if isinstance(value, int))


async def answer() -> int:
    return 42


async def tasks() -> None:
    assert_type(ctxvars.create_task(answer()), asyncio.Task[int])
    assert_type(await ctxvars.create_task(answer(), name="a", context=Context()), int)
    assert_type(await ctxvars.create_task(answer(), context=copy_context().native), int)


def mistakes() -> None:
    """Mistakes that checkers must report: strict checking reports ignores that are not needed."""
    ContextVar("wrong", 0)  # type: ignore[call-overload]
    ContextVar(name="wrong")  # type: ignore[call-overload]
    depth.set("wrong")  # type: ignore[arg-type]
    depth.reset(user.set(""))  # type: ignore[arg-type]
    user.name = "wrong"  # type: ignore[misc]
    Context().run(scale, 2)  # type: ignore[call-arg]
    Context()[user] = ""  # type: ignore[index]
    Context.wrap(Context())  # type: ignore[arg-type]


def mistakes_with_maps() -> None:
    ages = Map(Ada=36)
    ages["Ada"] = 37  # type: ignore[index]
    del ages["Ada"]  # type: ignore[attr-defined]
    ages = ages.set("Ada", "37")  # type: ignore[arg-type]
    ages.set(1, 36)  # type: ignore[arg-type]
    ages.update({1: 36})  # type: ignore[arg-type]
    ages.get([])  # type: ignore[call-overload]
    ages & {"Ada"}  # type: ignore[operator]
    ages | [("Ada", 37)]  # type: ignore[operator]
    ages.diff([("Ada", 37)])  # type: ignore[arg-type]
    ages.apply({"Ada": 37})  # type: ignore[arg-type]
    Map({1: "one"}, two="two")  # type: ignore[dict-item]
    Map([([], "not hashable")])  # type: ignore[type-var]
    numbers: Map[int, int] = Map(a=1)  # type: ignore[assignment]
    wider_keys: Map[object, int] = ages  # type: ignore[assignment]
    ages.mutate()["Ada"] = "37"  # type: ignore[assignment]
    numbers.merge(numbers, numbers, resolve=larger)  # type: ignore[arg-type]
    wider_keys.merge(wider_keys, wider_keys, lambda *_: 1)  # type: ignore[call-arg]


if __name__ == "__main__":
    for example in (
        *(variables, tokens, contexts, bridges, shim),
        *(making_maps, reading_maps, views, deriving_maps, mutations, differences),
    ):
        example()
    asyncio.run(tasks())
