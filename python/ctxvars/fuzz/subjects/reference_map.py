"""The reference for `ctxvars.Map`: a map holds a `dict`, and each edit copies it.

The code is as simple as possible.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Hashable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import Any

from ctxvars import MISSING, Conflict, MapDiff, MergeConflict

Dict = dict[Any, Any]


def same(one: Any, other: Any) -> bool:
    return one is other or bool(one == other)


def check_type(thing: object, expected: type) -> None:
    if not isinstance(thing, expected):
        raise TypeError(f"it must be a {expected.__name__}, got {thing!r}")


class HoldsDict(Mapping[Any, Any]):
    """The methods that read maps and mutations."""

    dict: Dict

    def __getitem__(self, key: Any) -> Any:
        return self.dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self.dict

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dict)

    def __len__(self) -> int:
        return len(self.dict)


class Map(HoldsDict):
    def __init__(self, *collections: Any, **entries: Any) -> None:
        self.dict = {}
        for collection in collections:
            self.dict.update(collection)
        self.dict.update(entries)

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> Map:
        return cls(dict.fromkeys(keys, value))

    def get(self, key: Any, default: Any = None) -> Any:
        return self.dict.get(key, default)

    def keys(self) -> KeysView[Any]:
        return self.dict.keys()

    def values(self) -> ValuesView[Any]:
        return self.dict.values()

    def items(self) -> ItemsView[Any, Any]:
        return self.dict.items()

    def set(self, key: Any, value: Any) -> Map:
        return Map({**self.dict, key: value})

    def delete(self, key: Any) -> Map:
        copy = dict(self.dict)
        del copy[key]
        return Map(copy)

    def discard(self, key: Any) -> Map:
        return self.delete(key) if key in self.dict else self

    def update(self, *collections: Any, **entries: Any) -> Map:
        return Map(self.dict, *collections, **entries)

    def intersection(self, keys: Iterable[Any]) -> Map:
        kept = dict.fromkeys(keys)
        return Map({key: value for key, value in self.dict.items() if key in kept})

    def difference(self, keys: Iterable[Any]) -> Map:
        dropped = dict.fromkeys(keys)
        return Map({key: value for key, value in self.dict.items() if key not in dropped})

    def filter(self, predicate: Callable[[Any, Any], object]) -> Map:
        return Map({key: value for key, value in self.dict.items() if predicate(key, value)})

    def map_values(self, function: Callable[[Any], Any]) -> Map:
        return Map({key: function(value) for key, value in self.dict.items()})

    def __or__(self, other: Any) -> Map:
        return Map(self.dict, other)

    def __ror__(self, other: Any) -> Map:
        return Map(other, self.dict)

    def __eq__(self, other: object) -> bool:
        return self.dict == (other.dict if isinstance(other, Map) else other)

    def __hash__(self) -> int:
        return hash(frozenset(self.dict.items()))

    def copy(self) -> Map:
        return self

    def get_in(self, path: Iterable[Any], default: Any = None) -> Any:
        level: Any = self
        for key in path:
            check_type(level, Mapping)
            if key not in level:
                return default
            level = level[key]
        return level

    def update_in(
        self,
        path: Iterable[Any],
        function: Callable[[Any], Any],
        default: Any = MISSING,
        *,
        above: tuple[Any, ...] = (),
    ) -> Map:
        key, *rest = path
        if key not in self.dict and default is MISSING:
            raise KeyError((*above, key))
        if not rest:
            return self.set(key, function(self.dict.get(key, default)))
        level = self.dict.get(key, {})
        check_type(level, Mapping)
        changed = Map(level).update_in(rest, function, default, above=(*above, key))
        return self.set(key, changed)

    def set_in(self, path: Iterable[Any], value: Any) -> Map:
        return self.update_in(path, lambda _: value, None)

    def delete_in(self, path: Iterable[Any], *, above: tuple[Any, ...] = ()) -> Map:
        key, *rest = path
        if key not in self.dict:
            raise KeyError((*above, key))
        if not rest:
            return self.delete(key)
        level = self.dict[key]
        check_type(level, Mapping)
        return self.set(key, Map(level).delete_in(rest, above=(*above, key)))

    def merge_deep(self, *others: Mapping[Any, Any]) -> Map:
        merged = self
        for other in others:
            check_type(other, Mapping)
            for key, value in other.items():
                old = merged.dict.get(key)
                if isinstance(old, Mapping) and isinstance(value, Mapping):
                    value = old if old is value else Map(old).merge_deep(value)
                merged = merged.set(key, value)
        return merged

    def mutate(self) -> MapMutation:
        return MapMutation(self.dict)

    def diff(self, other: Mapping[Any, Any]) -> MapDiff[Any, Any]:
        check_type(other, Mapping)
        changed = {
            key: (value, other[key])
            for key, value in self.dict.items()
            if key in other and not same(value, other[key])
        }
        maps: Any = self.new(other), Map(other).new(self), Map(changed)
        return MapDiff(*maps)

    def new(self, other: Mapping[Any, Any]) -> Map:
        """Return the entries that only the other map has."""
        return Map({key: value for key, value in other.items() if key not in self.dict})

    def apply(self, diff: MapDiff[Any, Any]) -> Map:
        check_type(diff, MapDiff)
        new = {key: new for key, (_, new) in diff.changed.items()}
        return self.difference(diff.removed).update(diff.added, new)

    def merge(
        self,
        ours: Mapping[Any, Any],
        theirs: Mapping[Any, Any],
        *,
        resolve: Callable[[Hashable, Any, Any, Any], Any] | None = None,
    ) -> Map:
        for map_ in (ours, theirs):
            check_type(map_, Mapping)
        merged: Dict = {}
        conflicts = []
        for key in {**self, **ours, **theirs}:
            values = [each.get(key, MISSING) for each in (self, ours, theirs)]
            if same(values[1], values[2]) or same(values[0], values[2]):
                value = values[1]
            elif same(values[0], values[1]):
                value = values[2]
            elif resolve is not None:
                value = resolve(key, *values)
            else:
                conflicts.append(Conflict(key, *values))
                continue
            if value is not MISSING:
                merged[key] = value
        if conflicts:
            raise MergeConflict(tuple(conflicts))
        return Map(merged)


class MapMutation(HoldsDict, MutableMapping[Any, Any]):
    def __init__(self, dict_: Dict) -> None:
        self.dict = dict(dict_)
        self.finished = False

    def change(self) -> Dict:
        """Return the dict for a change; raise if the mutation is finished."""
        if self.finished:
            raise ValueError("mutation MapMutation() has been finished")
        return self.dict

    def copy(self) -> MapMutation:
        return MapMutation(self.dict)

    def __or__(self, other: Any) -> MapMutation:
        return MapMutation({**self.dict, **other})

    def __ior__(self, other: Any) -> MapMutation:
        self.update(other)
        return self

    def finish(self) -> Map:
        self.finished = True
        return Map(self.dict)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.change()[key] = value

    set = __setitem__

    def __delitem__(self, key: Any) -> None:
        del self.change()[key]

    def discard(self, key: Any) -> None:
        self.pop(key, None)

    def update(self, *collections: Any, **entries: Any) -> None:
        # If this raises, the mutation is unchanged.
        self.dict = {**self.change(), **Map(*collections, **entries)}

    def pop(self, key: Any, *default: Any) -> Any:
        changing = self.change()
        hash(key)  # an empty dict does not hash the key
        return changing.pop(key, *default)

    def clear(self) -> None:
        self.change().clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return self.change().setdefault(key, default)
