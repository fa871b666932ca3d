"""The namespace that `vars()` of a group shows, so that tools can patch fields like attributes.

`unittest.mock` and pytest's `monkeypatch` read `Settings.__dict__["precision"]`, assign a new value
to `Settings.precision`, and at the end assign the object that they have read. That object is a
`FieldState`, which keeps the value of the moment when it was read. Assigning it to the field
restores the value, or unsets the field if it had no value.

Without this namespace, patching would not restore the value: the descriptor in the class does not
contain it. An inherited field, which is not in the class, would be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from ctxvars._groups.fields import FieldState, fields_of

# Reads the real namespace of a class, also if its metaclass has another `__dict__`.
_CLASS_DICT: Final = type.__dict__["__dict__"]


def class_dict(group: type) -> MappingProxyType[str, Any]:
    """The real namespace of a group, with a `VariableDescriptor` for each field declared there."""
    found: MappingProxyType[str, Any] = _CLASS_DICT.__get__(group)
    return found


class _Namespace(Mapping[str, Any]):
    """The attributes of a group, with a `FieldState` for each field.

    Inherited fields can be looked up, but are not listed.
    """

    __slots__ = ("_group", "_in_class")

    def __init__(self, group: type) -> None:
        self._group = group
        self._in_class = class_dict(group)

    def __getitem__(self, name: str) -> Any:
        field = fields_of(self._group).get(name)
        return self._in_class[name] if field is None else FieldState(field.variable)

    def __contains__(self, name: object) -> bool:
        return name in self._in_class

    def __iter__(self) -> Iterator[str]:
        return iter(self._in_class)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._in_class)

    def __len__(self) -> int:
        return len(self._in_class)

    def __repr__(self) -> str:
        return repr(self.copy())

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()


def namespace_of(group: type) -> MappingProxyType[str, Any]:
    """The `__dict__` of a group. O(1)."""
    return MappingProxyType(_Namespace(group))
