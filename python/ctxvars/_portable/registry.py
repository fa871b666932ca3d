"""All declarations of the process, and the tables that the hot paths iterate over.

A table is made when it is first needed, and dropped by the next declaration. Declarations are rare,
and come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ctxvars._core import ContextVar
from ctxvars._locks import lasting_lock
from ctxvars._missing import MISSING
from ctxvars._portable.declaration import LEVELS, Level, Portable
from ctxvars._portable.headers.baggage import quote


class Declared(NamedTuple):
    """A variable and how it travels."""

    variable: ContextVar[Any]
    options: Portable
    owner: str
    """How error messages name the declaration."""
    module: str
    """The module to import, so that another process has the declaration, too."""
    is_repeatable: bool
    """Whether the declaration is code of a module's body, which may be executed again."""
    check: Callable[[Any], object] | None = None
    """Raises an exception for a value that the variable cannot have."""
    pack: Callable[[Any], Any] | None = None
    """Returns the object to pickle instead of a value."""
    unpack: Callable[[Any], Any] | None = None
    """Returns the value for an object that `pack` has returned."""


class Writer(NamedTuple):
    """A row of the table of `inject`."""

    variable: ContextVar[Any]
    prefix: str
    """The name and the equals sign."""
    encode: Callable[[Any], str]
    quote: Callable[[str], str]
    suffix: str
    """The version, if it is not 1."""


class Tables:
    """The tables for one set of declarations."""

    __slots__ = ("absent", "accepted", "by_name", "writers")

    def __init__(self, declared: dict[str, Declared]) -> None:
        self.by_name = declared
        self.absent: dict[ContextVar[Any], Any] = {
            each.variable: MISSING for each in declared.values()
        }
        """Each variable with `MISSING`, for the scope that takes values away."""
        self.accepted: dict[Level, dict[str, Declared]] = {
            level: {
                name: each for name, each in declared.items() if reaches(each.options.to, level)
            }
            for level in LEVELS
        }
        self.writers: dict[Level, list[Writer]] = {
            level: [_writer(each) for each in declared.values() if reaches(each.options.to, level)]
            for level in LEVELS
        }


def reaches(farthest: Level, level: Level) -> bool:
    """Whether values that may go as far as `farthest` may go to `level`."""
    return LEVELS.index(farthest) >= LEVELS.index(level)


def _writer(declared: Declared) -> Writer:
    options = declared.options
    suffix = "" if options.version == 1 else f";v={options.version}"
    return Writer(declared.variable, f"{options.name}=", options.encode, quote, suffix)


_lock = lasting_lock()
_declared: dict[str, Declared] = {}
_tables: Tables | None = None


def tables() -> Tables:
    """Return the tables for all declarations."""
    global _tables
    found = _tables
    if found is None:
        # The deadline is always declared: another service may send one.

        with _lock:
            found = _tables = Tables(dict(_declared))
    return found


def declare(new: Iterable[Declared]) -> None:
    """Add declarations: all of them, or none if one is refused."""
    global _tables
    with _lock:
        merged = dict(_declared)
        for each in new:
            _check_unique(each, merged)
            merged[each.options.name] = each
        _declared.clear()
        _declared.update(merged)
        _tables = None


def _check_unique(new: Declared, declared: dict[str, Declared]) -> None:
    name = new.options.name
    other = declared.get(name)
    # A module that is executed again declares its variables again. A function that is called again
    # may make another variable, which would take the place of the first.
    if other is not None and (other.owner != new.owner or not new.is_repeatable):
        raise ValueError(
            f"the portable name {name!r} is already taken: {new.owner}, cannot have it, "
            f"because it belongs to {other.owner}"
        )
    for each in declared.values():
        if each.variable is new.variable and each.options.name != name:
            raise ValueError(
                f"{new.owner}, cannot be portable as {name!r}: it is portable as "
                f"{each.options.name!r} already"
            )
