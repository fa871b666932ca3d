"""Portable fields of groups: imported by the first group that has one."""

from __future__ import annotations

from functools import partial
from typing import Any, get_type_hints

from ctxvars._groups.fields import Field
from ctxvars._portable.declaration import check_not_reserved
from ctxvars._portable.registry import Declared, declare


def with_annotated_codec(
    field: Field, annotation: Any, module: str, group: str, name: str
) -> Field:
    """Return a copy of a field whose codec is its annotation.

    Raises:
        TypeError: the annotation is text that names something unknown, or it has no codec.
    """
    assert field.portable is not None
    try:
        # It evaluates text, in the names of the module.
        stand_in = type(name, (), {"__annotations__": {name: annotation}, "__module__": module})
        codec = get_type_hints(stand_in)[name]
        portable = field.portable.with_codec(codec)
    except (NameError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{group}.{name} is portable, but its annotation {annotation!r} is not a codec "
            f"({error}): pass portable=ctxvars.Portable({field.portable.name!r}, codec=...)"
        ) from error
    return Field(field.default, field.default_factory, field.validate, portable)


def declare_fields(fields: dict[str, Field], module: str, group: str) -> None:
    """Declare the variables of portable fields: all of them, or none if one is refused."""
    declared = []
    for name, field in fields.items():
        assert field.portable is not None
        check_not_reserved(field.portable.name)
        check = None if field.validate is None else partial(field.check, group=group, name=name)
        owner = f"the field {module}.{group}.{name}"
        is_repeatable = "<locals>" not in group
        declared.append(
            Declared(field.variable, field.portable, owner, module, is_repeatable, check)
        )
    declare(declared)
