"""Codecs: values to text and back.

A decoder accepts what its encoder writes, and little else: it raises an exception for other text,
which comes from other machines. `int` would accept digits of all scripts, white space and
underscores.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from ctxvars._arguments import check_callable

Encode: TypeAlias = Callable[[Any], str]
Decode: TypeAlias = Callable[[str], Any]
Codec: TypeAlias = tuple[Encode, Decode]
CodecLike: TypeAlias = Any
"""A type, "json", or a pair of functions. Not `type[Any] | ...`: unions such as `str | None` and
`list[int]` are not types for type checkers."""

_NUMBER = re.compile(r"-?[0-9]+")
_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|inf|nan)")
_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:E[+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BASE64 = re.compile(r"[A-Za-z0-9_-]*")

NONE = "~"
"""The text of `None`, for codecs of optional values. Text that begins with it is escaped by it."""


def codec_of(given: CodecLike) -> Codec:
    """Return the codec for a type, for "json", or of a pair of functions.

    Raises:
        TypeError: the argument is neither a codec nor a type that has one.
    """
    if given == "json":
        return _encode_json, _decode_json
    if isinstance(given, tuple) and len(given) == 2:
        for name, function in zip(("encode", "decode"), given, strict=True):
            check_callable("codec", name, function)
        return given[0], given[1]
    if given in _SIMPLE:
        return _SIMPLE[given]
    if isinstance(given, type) and issubclass(given, Enum):
        return _of_enum(given)
    if isinstance(given, str):
        raise TypeError(f"there is no codec {given!r}: the only one with a name is 'json'")
    origin: Any = get_origin(given)
    if origin is Union or origin is UnionType:
        return _of_union(given)
    return _of_model(given)


def _expect(kind: type, value: object) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"the value must be of type {kind.__name__}, got {type(value).__name__}")


def _matching(pattern: re.Pattern[str], make: Callable[[str], Any]) -> Decode:
    """Return a decoder of the text that matches a pattern."""

    def decode(text: str) -> Any:
        if not pattern.fullmatch(text):
            raise ValueError("the text is not one that the codec writes")
        return make(text)

    return decode


def _encode_str(value: Any) -> str:
    if type(value) is str:
        return value
    _expect(str, value)
    # Not `str(value)`: a subclass such as an enum has another `__str__`.
    return str.__str__(value)


def _encode_int(value: Any) -> str:
    _expect(int, value)
    return int.__repr__(value)


def _encode_bool(value: Any) -> str:
    _expect(bool, value)
    return "true" if value else "false"


def _decode_bool(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    raise ValueError("the text is neither 'true' nor 'false'")


def _encode_float(value: Any) -> str:
    # An int may be a value of a variable whose type is float.
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    _expect(float, value)
    return float.__repr__(value)


def _encode_bytes(value: Any) -> str:
    _expect(bytes, value)
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _decode_bytes(text: str) -> bytes:
    if not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("the text is not base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode_uuid(value: Any) -> str:
    _expect(UUID, value)
    # As `str(value)`, in two thirds of the time.
    digits = f"{value.int:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _make_uuid(text: str) -> UUID:
    return UUID(int=int(text.replace("-", ""), 16))


def _encode_decimal(value: Any) -> str:
    _expect(Decimal, value)
    return str(value)


def _encode_datetime(value: Any) -> str:
    _expect(datetime, value)
    text: str = value.isoformat()
    return text


def _encode_date(value: Any) -> str:
    _expect(date, value)
    if isinstance(value, datetime):
        raise TypeError("the value must be a date, got a datetime")
    text: str = value.isoformat()
    return text


def _decode_datetime(text: str) -> datetime:
    # `isoformat` writes a `T`; a date alone is not a value of this codec.
    if not text.isascii() or text[10:11] != "T":
        raise ValueError("the text is not a date and time of ISO 8601")
    return datetime.fromisoformat(text)


def _decode_date(text: str) -> date:
    if not text.isascii() or len(text) != 10:
        raise ValueError("the text is not a date of ISO 8601")
    return date.fromisoformat(text)


def _encode_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _decode_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> Any:
    # NaN and infinities, which are not JSON.
    raise ValueError(f"{text} is not JSON")


def _decode_str(text: str) -> str:
    return text


_SIMPLE: dict[Any, Codec] = {
    str: (_encode_str, _decode_str),
    int: (_encode_int, _matching(_NUMBER, int)),
    bool: (_encode_bool, _decode_bool),
    float: (_encode_float, _matching(_FLOAT, float)),
    bytes: (_encode_bytes, _decode_bytes),
    UUID: (_encode_uuid, _matching(_UUID, _make_uuid)),
    datetime: (_encode_datetime, _decode_datetime),
    date: (_encode_date, _decode_date),
    Decimal: (_encode_decimal, _matching(_DECIMAL, Decimal)),
}


NEEDS_NO_QUOTING = frozenset(
    (_encode_int, _encode_bool, _encode_bytes, _encode_uuid, _encode_date),
)
"""Encoders whose text has only letters, digits, hyphens and underscores."""


def _of_enum(kind: type[Enum]) -> Codec:
    """Members travel by name; combinations of flags, which may not have one, by number."""

    def encode_name(value: Any) -> str:
        _expect(kind, value)
        name: str = value.name
        return name

    def encode_number(value: Any) -> str:
        _expect(kind, value)
        return str(int(value.value))

    if issubclass(kind, Flag):
        make: Callable[[int], Any] = kind
        return encode_number, _matching(_NUMBER, lambda text: make(int(text)))
    return encode_name, lambda text: kind[text]


def _of_union(given: Any) -> Codec:
    """Return the codec of `T | None`; other unions are left to msgspec or pydantic."""
    others = [each for each in get_args(given) if each is not NoneType]
    if len(others) != 1 or len(get_args(given)) != 2:
        return _of_model(given)
    encode, decode = codec_of(others[0])

    def encode_optional(value: Any) -> str:
        if value is None:
            return NONE
        text = encode(value)
        return NONE + text if text.startswith(NONE) else text

    def decode_optional(text: str) -> Any:
        if not text.startswith(NONE):
            return decode(text)
        if text == NONE:
            return None
        if not text.startswith(NONE * 2):
            raise ValueError("the text is not one that the codec writes")
        return decode(text[len(NONE) :])

    return encode_optional, decode_optional


def _of_model(given: Any) -> Codec:
    """Return the codec of a type that msgspec or pydantic converts to JSON and back."""
    is_model = hasattr(given, "model_validate_json")
    for make in (_of_pydantic,) if is_model else (_of_msgspec, _of_pydantic):
        try:
            return make(given)
        except ImportError:
            continue
    raise TypeError(
        f"there is no codec for {given!r}: pass a type such as str, 'json', or a pair of functions "
        "(encode, decode); with msgspec or pydantic, their types and annotations can be passed"
    )


def _of_msgspec(given: Any) -> Codec:
    import msgspec  # type: ignore[import-not-found,unused-ignore]

    try:
        decoder = msgspec.json.Decoder(given)
    except TypeError as error:
        raise TypeError(f"msgspec has no codec for {given!r}: {error}") from error
    encoder = msgspec.json.Encoder()
    return lambda value: encoder.encode(value).decode(), decoder.decode


def _of_pydantic(given: Any) -> Codec:
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(given)
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"pydantic has no codec for {given!r}: {error}") from error
    return lambda value: adapter.dump_json(value).decode(), adapter.validate_json
