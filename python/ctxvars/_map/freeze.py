"""`freeze` and `thaw`: nested dicts, lists and sets as immutable collections, and back."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from operator import is_
from typing import Any, cast

from ctxvars._core import Map, Set
from ctxvars._public import public

_ATOMS = frozenset({str, int, float, bool, bytes, type(None)})
"""Types of the most frequent values, which have no contents to convert."""

_COLLECTIONS = (Mapping, list, tuple, AbstractSet)


def freeze(value: Any, /) -> Any:
    """Return a value with its nested dicts, lists and sets as `Map`, `tuple` and `Set`.

    All mappings, subclasses of list and tuple, and sets are converted, at all levels. A named tuple
    stays one, with frozen fields, and a frozenset stays, too. So do keys, the elements of sets, and
    any other object. What is frozen already is not copied: `freeze(frozen) is frozen`. An object
    that occurs at several places is converted once, and the result is shared.

    O(n) for n objects; an object that occurs several times counts once. Raise ValueError, with the
    path of keys and indices, if a collection contains itself, since an immutable one cannot.

    >>> from ctxvars import freeze
    >>> freeze({"hosts": ["a", "b"], "limits": {"users": 10}}) == {
    ...     "hosts": ("a", "b"), "limits": {"users": 10}
    ... }
    True
    >>> freeze([{1}, {"a": []}])
    (ctxvars.Set({1}), ctxvars.Map({'a': ()}))
    """
    return _frozen(value, None, {}, {})


def thaw(value: Any, /) -> Any:
    """Return a value with its nested mappings, tuples and sets as new `dict`, `list` and `set`.

    It is the inverse of `freeze`: `thaw(freeze(value)) == value` if the collections in the value
    are dicts, lists and sets. All mappings, subclasses of list and tuple, and sets are converted,
    at all levels. A named tuple stays one, with thawed fields. Keys and the elements of sets stay
    as they are, because they have to be hashable, and so does any other object. Each place in the
    result has a collection for itself: changing one changes no other.

    O(n) for n objects; an object that occurs several times counts each time. Raise ValueError, with
    the path of keys and indices, if a collection contains itself.

    >>> from ctxvars import Map, thaw
    >>> thaw(Map(hosts=("a", "b"), limits=Map(users=10))) == {
    ...     "hosts": ["a", "b"], "limits": {"users": 10}
    ... }
    True
    """
    return _thawed(value, None, {})


def _frozen(
    value: Any, place: Any, entered: dict[int, Any], known: dict[int, tuple[Any, Any]]
) -> Any:
    """Return the frozen value. `known` has the collections so far, by identity, and the results.

    It keeps the collections alive, so that no other object gets the identity of one. One call for
    each level keeps the recursion low.
    """
    if type(value) in _ATOMS or not isinstance(value, _COLLECTIONS):
        return value
    identity = id(value)
    if identity in known:
        return known[identity][1]
    _enter("freeze", value, place, entered)
    result: Any
    if isinstance(value, Mapping):
        entries = {}
        for key, item in value.items():
            entries[key] = _frozen(item, key, entered, known)
        # A map shares its nodes with the result, as far as the values are frozen already.
        result = value.update(entries) if type(value) is Map else Map(entries)
    elif isinstance(value, AbstractSet):
        result = value if isinstance(value, frozenset) else Set(value)
    else:
        items = []
        for index, item in enumerate(value):
            items.append(_frozen(item, index, entered, known))
        if isinstance(value, tuple) and all(map(is_, items, value)):
            result = value
        else:
            result = cast(Any, value)._make(items) if _is_named_tuple(value) else tuple(items)
    known[identity] = value, result
    del entered[identity]
    return result


def _thawed(value: Any, place: Any, entered: dict[int, Any]) -> Any:
    """Return the thawed value, by one call for each level."""
    if type(value) in _ATOMS or not isinstance(value, _COLLECTIONS):
        return value
    _enter("thaw", value, place, entered)
    result: Any
    if isinstance(value, Mapping):
        result = {}
        for key, item in value.items():
            result[key] = _thawed(item, key, entered)
    elif isinstance(value, AbstractSet):
        result = set(value)
    else:
        result = []
        for index, item in enumerate(value):
            result.append(_thawed(item, index, entered))
        if _is_named_tuple(value):
            result = cast(Any, value)._make(result)
    del entered[id(value)]
    return result


def _enter(verb: str, value: Any, place: Any, entered: dict[int, Any]) -> None:
    """Add a collection to those on the way, by identity, with its place. Raise if it is there."""
    if id(value) in entered:
        _, *places = entered.values()
        name = type(value).__qualname__
        path = (*places, place)
        raise ValueError(f"cannot {verb} a {name!r} that contains itself, at the path {path!r}")
    entered[id(value)] = place


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_make")


public(freeze)
public(thaw)
