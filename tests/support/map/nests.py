"""Operations on maps that call themselves, through user code, without end."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

from ctxvars import Map

FIBONACCI = 1_836_311_903
LIMIT = 4000
"""A recursion limit that would overflow the C stack if walks over maps did not count."""


class Key:
    """A key whose hash shares its first bits with others, so that the trie is deep."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number * FIBONACCI


class CallingValue:
    """A value that calls `operation` directly when it is compared or copied."""

    def __hash__(self) -> int:
        return 1


operation: Callable[..., Any]


def made(value: Callable[[], Any]) -> Map[Any, Any]:
    return Map({Key(number): value() for number in range(40)})


ONE, OTHER, THIRD = made(CallingValue), made(CallingValue), made(CallingValue)
PAIRS = [(Key(number), 1) for number in range(40)]
LARGE = {Key(number) for number in range(400)}

OPERATIONS: dict[str, Callable[..., Any]] = {
    "union": lambda *_: ONE | OTHER,
    "update": lambda *_: ONE.update(OTHER),
    "update with pairs": lambda *_: ONE.update(PAIRS),
    "update of a mutation": lambda *_: ONE.mutate().update(OTHER),
    "intersection": lambda *_: ONE.intersection(OTHER),
    "intersection with a set": lambda *_: ONE.intersection(LARGE),
    "difference": lambda *_: ONE.difference(OTHER),
    "filter": lambda *_: ONE.filter(operation),
    "map_values": lambda *_: ONE.map_values(operation),
    "diff": lambda *_: ONE.diff(OTHER),
    "merge": lambda *_: ONE.merge(OTHER, THIRD),
    "merge with a resolver": lambda *_: Map(a=1).merge(Map(a=2), Map(a=3), resolve=operation),
    "deepcopy": lambda *_: copy.deepcopy(ONE),
    "== of views": lambda *_: ONE.items() == OTHER.items(),
    "<= of views": lambda *_: ONE.keys() <= OTHER.keys(),
    "isdisjoint": lambda *_: ONE.items().isdisjoint(OTHER.items()),
    "& of views": lambda *_: ONE.items() & OTHER.items(),
    "- of views": lambda *_: ONE.keys() - OTHER.keys(),
    "^ of views": lambda *_: ONE.items() ^ OTHER.items(),
    "==": lambda *_: ONE == OTHER,
    "get": lambda *_: ONE.get(Key(1)),
    "set": lambda *_: ONE.set(Key(1), 1),
    "build": lambda *_: Map(PAIRS + [(Key(number), 2) for number in range(40)]),
}


def without_error(limit: int = LIMIT) -> list[str]:
    """The operations that do not end in RecursionError when they are nested."""
    global operation
    sys.setrecursionlimit(limit)
    ended = []
    for name, operate in OPERATIONS.items():
        operation = operate
        for class_ in (Key, CallingValue):
            for method in ("__eq__", "__deepcopy__"):
                setattr(class_, method, operate)
        try:
            operate()
            ended.append(name)
        except RecursionError:
            pass
    return ended
