"""All declarations of the process, and the tables that the hot paths iterate over.

A table is made when it is first needed, and dropped by the next declaration. Declarations are rare,
and come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pickle import UnpicklingError
from typing import Any, NamedTuple, TypeAlias

from ctxvars import _pickled_variables
from ctxvars._core import ContextVar
from ctxvars._locks import lasting_lock
from ctxvars._missing import MISSING
from ctxvars._portable.codecs import NEEDS_NO_QUOTING
from ctxvars._portable.declaration import LEVELS, Level, Portable
from ctxvars._portable.headers.baggage import quote

# No variable has this value.
UNSET: Any = object()


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


Writer: TypeAlias = tuple[ContextVar[Any], Callable[[Any], str]]
"""A row of the table of `inject`: the variable, and a function from its value to the member."""


class Reader(NamedTuple):
    """A row of the table of `extract`."""

    variable: ContextVar[Any]
    suffix: str
    """The property with the version, or "" for version 1."""
    decode: Callable[[str], Any]
    """Includes the check of the value."""
    older: dict[int, Callable[[str], Any]]


class Tables:
    """The tables for one set of declarations."""

    __slots__ = ("absent", "by_name", "readers", "selected", "writers")

    def __init__(self, declared: dict[str, Declared]) -> None:
        self.by_name = declared
        self.absent: dict[ContextVar[Any], Any] = {
            each.variable: MISSING for each in declared.values()
        }
        """Each variable with `MISSING`, for the scope that takes values away."""
        self.readers: dict[Level, dict[str, Reader]] = {
            level: {
                name: reader_of(each)
                for name, each in declared.items()
                if reaches(each.options.to, level)
            }
            for level in LEVELS
        }
        self.selected: dict[frozenset[str | ContextVar[Any]], dict[str, Reader]] = {}
        """The tables of `extract` for collections of names."""
        self.writers: dict[Level, list[Writer]] = {
            level: [
                (each.variable, member_encoder(each))
                for each in declared.values()
                if reaches(each.options.to, level)
            ]
            for level in LEVELS
        }


def reaches(farthest: Level, level: Level) -> bool:
    """Whether values that may go as far as `farthest` may go to `level`."""
    return LEVELS.index(farthest) >= LEVELS.index(level)


def _suffix(options: Portable) -> str:
    return "" if options.version == 1 else f";v={options.version}"


def member_encoder(declared: Declared) -> Callable[[Any], str]:
    """Return a function from a value to the member of a header."""
    options = declared.options
    prefix, suffix, encode = f"{options.name}=", _suffix(options), options.encode

    def encode_safe(value: Any) -> str:
        return f"{prefix}{encode(value)}{suffix}"

    def encode_any(value: Any) -> str:
        return f"{prefix}{quote(encode(value))}{suffix}"

    return encode_safe if encode in NEEDS_NO_QUOTING else encode_any


def reader_of(declared: Declared) -> Reader:
    """Return the row of a variable in the table of `extract`."""
    options, check = declared.options, declared.check

    def checked(decode: Callable[[str], Any]) -> Callable[[str], Any]:
        if check is None:
            return decode

        def decode_checked(text: str) -> Any:
            value = decode(text)
            check(value)
            return value

        return decode_checked

    older = {version: checked(decode) for version, decode in options.decode_older.items()}
    return Reader(declared.variable, _suffix(options), checked(options.decode), older)


_lock = lasting_lock()
_declared: dict[str, Declared] = {}
_tables: Tables | None = None


def tables() -> Tables:
    """Return the tables for all declarations."""
    global _tables
    found = _tables
    if found is None:
        # The deadline is always declared: another service may send one.
        import_module("ctxvars._portable.deadlines")
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


# Pickling variables


def import_declaration(name: str, module: str) -> Declared | None:
    """Return a declaration, after an import of its module if it is not known yet."""
    found = tables().by_name.get(name)
    if found is None:
        with suppress(ImportError):
            import_module(module)
        found = tables().by_name.get(name)
    return found


def _reduced(variable: ContextVar[Any]) -> tuple[Any, ...] | None:
    """Return how a portable variable is pickled: by its name and its module. O(declarations)."""
    for name, declared in _declared.items():
        if declared.variable is variable:
            return _variable, (name, declared.module)
    return None


def _variable(name: str, module: str) -> ContextVar[Any]:
    found = import_declaration(name, module)
    if found is None:
        raise UnpicklingError(f"{module} does not declare the portable variable {name!r} here")
    return found.variable


_pickled_variables.reducers.append(_reduced)
