"""`Portable` and `portable`: how a variable travels."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar
from ctxvars._portable.codecs import CodecLike, Decode, Encode, codec_of
from ctxvars._public import public

T = TypeVar("T")

Level: TypeAlias = Literal["process", "internal", "public"]
LEVELS: tuple[Level, ...] = ("process", "internal", "public")
"""From near to far. A variable may be sent to its own level, and to those before it."""

RESERVED = "ctxvars."
"""The names of ctxvars itself begin so."""

# RFC 7230, section 3.2.6.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
MAX_NAME = 256


def check_level(function: str, argument: str, level: object) -> None:
    if level not in LEVELS:
        raise ValueError(
            f"{function}() argument {argument!r} must be 'process', 'internal' or 'public', "
            f"got {level!r}"
        )


@public
class Portable:
    """How a variable travels: its name outside of the process, its codec, and how far it may go.

    `portable` declares a variable with these arguments. A field of a group is declared by
    `group_field(portable=Portable(...))`.

    Args:
        name: the name of the variable in headers: a token of HTTP, at most 256 characters. Two
            variables of a process cannot have the same name. Begin it with the name of your
            organisation, as in "acme.tenant".
        codec: how values become text: a type, "json", or a pair of functions `(encode, decode)`
            from values to `str` and back. Types are `str`, `int`, `bool`, `float`, `bytes`, `UUID`,
            `datetime`, `date`, `Decimal`, enums (by name), unions of these with `None`, and, if
            msgspec or pydantic is installed, what these packages convert to JSON. By default, the
            codec of a field is its annotation, and that of a variable is `str`.
        to: the farthest place that values may reach. "process": other processes of the program.
            "internal": services that you run. "public": everywhere.
        version: of the encoding, 1 or more. It is sent as `;v=2`, unless it is 1.
        older: decoders of earlier versions, by version: a codec, or a function from `str` to a
            value. Versions that are not listed are dropped.

    Raises:
        ValueError: `name`, `to` or a version cannot be used.
        TypeError: `codec`, or one in `older`, is neither a codec nor a type that has one.

    >>> import ctxvars
    >>> ctxvars.Portable("acme.tenant", codec=int, version=2, older={1: lambda text: len(text)})
    Portable('acme.tenant', codec=<class 'int'>, to='internal', version=2)
    """

    # The texts are the docstrings of the attributes.
    __slots__ = {
        "_codec": None,
        "_given_codec": None,
        "_older": None,
        "name": "The name, by which other processes know the variable.",
        "to": 'The farthest place that values may reach: "process", "internal" or "public".',
        "version": "The version of the format of values.",
    }

    def __init__(
        self,
        name: str,
        /,
        *,
        codec: CodecLike | None = None,
        to: Level = "internal",
        version: int = 1,
        older: Mapping[int, CodecLike | Decode] | None = None,
    ) -> None:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name) or len(name) > MAX_NAME:
            raise ValueError(
                f"a portable name must be a token of HTTP with at most {MAX_NAME} characters, such "
                f"as 'acme.tenant', got {name!r}"
            )
        check_level("Portable", "to", to)
        self.name = name
        self.to = to
        self.version = version
        self._given_codec = codec
        self._codec = None if codec is None else codec_of(codec)
        self._older = dict(older or {})
        for each in (version, *self._older):
            if type(each) is not int or not 1 <= each < 10_000:
                raise ValueError(f"{name}: a version must be an int from 1 to 9999, got {each!r}")
        if version in self._older:
            raise ValueError(f"{name}: version {version} is current, and cannot be in 'older'")

    @property
    def encode(self) -> Encode:
        """Returns the text of a value."""
        return (self._codec or codec_of(str))[0]

    @property
    def decode(self) -> Decode:
        """Returns the value of a text."""
        return (self._codec or codec_of(str))[1]

    @property
    def decode_older(self) -> dict[int, Decode]:
        """The decoders of earlier versions."""
        found: dict[int, Decode] = {}
        for version, given in self._older.items():
            is_function = callable(given) and not isinstance(given, type)
            found[version] = given if is_function else codec_of(given)[1]
        return found

    @property
    def needs_codec(self) -> bool:
        """Whether the codec is to be found from the annotation of a field."""
        return self._codec is None

    def with_codec(self, codec: CodecLike, /) -> Portable:
        """Return a copy with another codec."""
        return Portable(self.name, codec=codec, to=self.to, version=self.version, older=self._older)

    def __repr__(self) -> str:
        codec = "" if self._given_codec is None else f", codec={self._given_codec!r}"
        return f"Portable({self.name!r}{codec}, to={self.to!r}, version={self.version})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A part of groups that cloudpickle sends with their declarations.
        state = (self.name, self._given_codec, self.to, self.version, self._older)
        return _portable, state


def _portable(name: str, codec: Any, to: Level, version: int, older: Any) -> Portable:
    return Portable(name, codec=codec, to=to, version=version, older=older)


def portable(
    variable: ContextVar[T],
    name: str,
    /,
    *,
    codec: CodecLike = str,
    to: Level = "internal",
    version: int = 1,
    older: Mapping[int, CodecLike | Decode] | None = None,
    validate: Callable[[T], object] | None = None,
) -> ContextVar[T]:
    """Declare that the values of a variable may travel to other processes; return the variable.

    Args:
        variable: a variable of ctxvars. Values of `contextvars.ContextVar` cannot be taken away
            again, which a worker has to do between two jobs.
        name, codec, to, version, older: as for `Portable`.
        validate: called with each value that arrives. To refuse the value, it raises an exception,
            or returns `False`.

    Declare variables in modules, as early as the variables themselves. A declaration is permanent.
    When a module is executed again, its new declarations replace the earlier ones. A declared
    variable can be pickled: by its name, and the module to import. It is not an
    argument of `ContextVar`, whose arguments are those of the standard library: importing ctxvars
    does not import the machinery of declarations.

    Raises:
        TypeError: `variable` is not a variable of ctxvars, or `codec` is not a codec.
        ValueError: the name is not a token, or another variable has it; the message names both.

    O(1).

    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.example")
    >>> with tenant.scope("globex & sons"):
    ...     ctxvars.inject({})
    {'baggage': 'acme.tenant.example=globex%20%26%20sons'}
    """
    from ctxvars._portable.registry import Declared, declare

    if not isinstance(variable, ContextVar):
        raise TypeError(
            f"portable() argument 'variable' must be a ctxvars.ContextVar, got {variable!r}: the "
            "values of other variables cannot be taken away between two jobs"
        )
    if validate is not None:
        check_callable("portable", "validate", validate)
    options = Portable(name, codec=codec, to=to, version=version, older=older)
    check_not_reserved(name)
    frame = sys._getframe(1)
    module = frame.f_globals.get("__name__", "__main__")
    owner = f"{variable.name!r}, declared in {module}, line {frame.f_lineno}"
    is_repeatable = frame.f_code.co_name == "<module>"
    check = None if validate is None else checker(validate)
    declare([Declared(variable, options, owner, module, is_repeatable, check)])
    return variable


def check_not_reserved(name: str) -> None:
    if name.startswith(RESERVED):
        raise ValueError(f"the portable name {name!r} is reserved: it begins with {RESERVED!r}")


def checker(validate: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return a function that raises `ValueError` for a value that `validate` refuses."""

    def check(value: Any) -> None:
        if validate(value) is False:
            raise ValueError("its validate returned False")

    return check


public(portable)
