"""The schemas of pydantic for `Map[K, V]` and `Set[T]`.

| | a map | a set |
| --- | --- | --- |
| validates, by default | any mapping | whatever pydantic takes for a set |
| validates, in strict mode | `Map` | `Set` |
| validates from JSON | an object | an array |
| is dumped to Python | a `dict` | a `set` |
| is dumped to JSON | an object | an array |

Keys, values and elements are validated and dumped by their types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ctxvars._core import Map, Set


def schema_of_map(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Map` or `Map[K, V]`."""
    entries = core_schema.dict_schema(*(handler.generate_schema(each) for each in get_args(source)))

    def validated(value: Any, validate: Callable[[Any], dict[Any, Any]]) -> Map[Any, Any]:
        if type(value) is not Map:
            return Map(validate(value))
        new = validate(dict(value))
        # If validation changes nothing, the result is the map itself, which shares its nodes.
        same = len(new) == len(value) and all(
            key is old_key and new[key] is old
            for key, (old_key, old) in zip(new, value.items(), strict=True)
        )
        return value if same else Map(new)

    return _schema(Map, entries, validated, dict)


def schema_of_set(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of `Set` or `Set[T]`."""
    elements = core_schema.set_schema(*(handler.generate_schema(each) for each in get_args(source)))

    def validated(value: Any, validate: Callable[[Any], set[Any]]) -> Set[Any]:
        return Set(validate(set(value) if type(value) is Set else value))

    return _schema(Set, elements, validated, set)


def _schema(
    collection: type,
    contents: CoreSchema,
    validated: Callable[[Any, Callable[[Any], Any]], Any],
    to_builtin: Callable[[Any], Any],
) -> CoreSchema:
    """Return the schema of a collection, whose contents are validated as a built-in one."""
    validation = core_schema.no_info_wrap_validator_function(validated, contents)
    instance = core_schema.is_instance_schema(collection)
    return core_schema.json_or_python_schema(
        json_schema=validation,
        python_schema=core_schema.lax_or_strict_schema(
            lax_schema=validation,
            strict_schema=core_schema.chain_schema([instance, validation]),
        ),
        serialization=core_schema.wrap_serializer_function_ser_schema(
            lambda value, serialize: serialize(to_builtin(value)), schema=contents
        ),
    )
