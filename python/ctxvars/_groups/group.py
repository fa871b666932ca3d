"""Groups: classes whose annotated names are context variables.

A field, say `precision`, has three parts. Its variable has the values. A `VariableDescriptor` in
the class reads the variable, without running Python code. All other operations use an entry in
`__group_fields__`, which also lists the fields of the bases. The parts are made before the class,
so a declaration that is refused leaves no class behind. `namespace.py` makes the namespace that
`vars()` shows.

The bases of groups and of their metaclass are compiled. They read fields, and make, enter and leave
instances. `init_slowly` makes instances with values that have to be validated or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pickle import UnpicklingError
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from ctxvars import _pickled_variables
from ctxvars._core import (
    ContextVar,
    GroupBase,
    GroupMetaBase,
    VariableDescriptor,
    fill_group,
    scope,
    set_class_dict,
)
from ctxvars._groups.fields import (
    INTERNAL,
    AsDeclared,
    Declarations,
    Field,
    Fields,
    FieldState,
    UnsetFieldError,
    check_names,
    declare_portable,
    declared_in,
    fields_of,
    inherited_from,
)
from ctxvars._groups.namespace import class_dict, namespace_of
from ctxvars._missing import MISSING
from ctxvars._public import public

M = TypeVar("M", bound="GroupMeta")
T = TypeVar("T")


class GroupMeta(GroupMetaBase):
    """The metaclass of groups, with the operations on all fields of a group.

    They are methods of the metaclass: as methods of `Group`, they would be listed among the fields.

    It is not a `dataclass_transform`: type checkers would then ask for every required field in each
    call of a group, but a call may set only some of them.
    """

    # No annotations here: each class would inherit them as its annotations.

    def __new__(
        metacls: type[M],
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        **keywords: Any,
    ) -> M:
        namespace = dict(namespace)
        group = namespace.get("__qualname__", name)
        module = namespace.setdefault("__module__", __name__)
        declared = declared_in(namespace, module, group)
        check_names(metacls, group, bases, namespace, declared)
        inherited = inherited_from(group, bases, declared)
        own = {name: field.made(module, group, name) for name, field in declared.items()}
        namespace.update((name, _descriptor(field)) for name, field in own.items())
        namespace["__group_fields__"] = Fields(own, inherited)
        class_ = super().__new__(metacls, name, bases, namespace, **keywords)
        declare_portable(own, module, group)
        return class_

    @property
    def variables(cls) -> Mapping[str, ContextVar[Any]]:
        """The variables, by the names of their fields: first those of the class itself. O(fields).

        >>> import ctxvars
        >>> class Settings(ctxvars.Group):
        ...     precision: int = 28
        >>> Settings.variables["precision"].get()
        28
        """
        fields = fields_of(cls).items()
        return MappingProxyType({name: field.variable for name, field in fields})

    def as_dict(cls) -> dict[str, Any]:
        """Return the current values and defaults of the fields that have one. O(fields).

        >>> import ctxvars
        >>> class Settings(ctxvars.Group):
        ...     precision: int = 28
        ...     locale: str
        >>> Settings.as_dict()
        {'precision': 28}
        """
        return {
            name: field.variable.get()
            for name, field in fields_of(cls).items()
            if not field.required or field.variable.is_set()
        }

    def snapshot(cls: type[T]) -> T:
        """Return an instance with the values that are set now, to set them again later.

        It can be entered in another context, thread or process, but not in two at once. It does not
        change fields that now have no value or only a default. Values are not validated again.
        O(fields).

        >>> import ctxvars
        >>> class Settings(ctxvars.Group):
        ...     precision: int = 28
        >>> with Settings(precision=6):
        ...     then = Settings.snapshot()
        >>> with then:
        ...     Settings.precision
        6
        """
        values = {
            name: field.variable.get()
            for name, field in fields_of(cls).items()
            if field.variable.is_set()
        }
        return _instance(cls, values)

    # If type checkers saw these methods, they would accept assignments to any name.
    if not TYPE_CHECKING:

        def __setattr__(cls, name: str, value: object) -> None:
            if not _set(cls, name, value):
                super().__setattr__(name, value)

        def __delattr__(cls, name: str) -> None:
            if not _delete(cls, name):
                super().__delattr__(name)


set_class_dict(GroupMeta, namespace_of)


def _descriptor(field: Field) -> VariableDescriptor[Any]:
    return VariableDescriptor(field.variable, UnsetFieldError)


@public
class Group(GroupBase, metaclass=GroupMeta):
    """A class whose annotated names are context variables.

    Each name that a subclass annotates is a *field*: a variable with the name `module.Class.field`.
    Its default is the value in the body, if there is one. Names that begin with an underscore, and
    annotations with `ClassVar` or `Final`, do not make fields. Everything else is as in any class.

    Reading `Settings.precision` is `get()` of the variable. Without a value and a default, it
    raises `UnsetFieldError`, an `AttributeError` and `LookupError`. Assigning is `set()`; `del`
    restores the default. All of this works on instances, too.

    An instance is made with values of some fields. It is a context manager, which sets them for the
    `with` block; `MISSING` takes a value away. It can be entered again after it was left.

    A subclass shares the fields of its bases; a field that is declared again is a new one. The
    class has `variables`, `as_dict()` and `snapshot()` for all fields.

    Args:
        values: the values of some of the fields.

    Raises:
        TypeError: there is no such field, or the declaration of the class is refused.

    Reading is O(1), like `ContextVar.get()`; setting and entering are O(log n) for each field.
    Groups and their variables are pickled by reference.

    >>> import ctxvars
    >>> class Settings(ctxvars.Group):
    ...     precision: int = 28
    ...     locale: str
    >>> with Settings(precision=6, locale="de"):
    ...     Settings.precision, Settings.locale
    (6, 'de')
    >>> Settings.precision
    28
    """

    # Making an instance, entering and leaving it are in the base.
    __slots__ = ()

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__group_values__.items())
        return f"{type(self).__qualname__}({values})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is not entered. Its values are valid already.
        attributes = getattr(self, "__dict__", None)
        return _instance, (type(self), self.__group_values__), attributes or None

    if TYPE_CHECKING:
        __group_fields__: Fields
    else:

        def __setattr__(self, name: str, value: object) -> None:
            if not _set(type(self), name, value):
                super().__setattr__(name, value)

        def __delattr__(self, name: str) -> None:
            if not _delete(type(self), name):
                super().__delattr__(name)


def init_slowly(instance: Group, positional: tuple[object, ...], values: dict[str, Any]) -> None:
    """Be the `__init__` of an instance, unless all values are usual ones of plain fields."""
    group = type(instance)
    if positional:
        raise TypeError(f"{group.__qualname__}() takes no positional arguments")
    fields = group.__group_fields__
    for name, value in values.items():
        if name not in fields:
            known = f"its fields are {', '.join(fields)}" if fields else "it has no fields"
            raise TypeError(f"{group.__qualname__} has no field {name!r}: {known}")
        field = fields[name]
        if field.validate is None and type(value) not in INTERNAL:
            continue
        if value is not MISSING:
            field.check(value, group.__qualname__, name)
    _fill(instance, values)


def _instance(group: type[T], values: dict[str, Any]) -> T:
    """Return an instance with valid values, without calling `__init__`."""
    instance = object.__new__(group)
    _fill(instance, values)
    return instance


def _fill(instance: Any, values: dict[str, Any]) -> None:
    fields = type(instance).__group_fields__
    pairs = {fields[name].variable: value for name, value in values.items()}
    # An instance without values does not need a scope.
    fill_group(instance, values, scope(pairs) if pairs else None)


def _set(group: type[Group], name: str, value: object) -> bool:
    """Set a field; return whether there is a field of this name."""
    if type(value) in INTERNAL:
        return _set_internal(group, name, value)
    field = group.__group_fields__.get(name)
    if field is None:
        return False
    if field.validate is not None:
        field.check(value, group.__qualname__, name)
    field.variable.set(value)
    return True


def _set_internal(group: type[Group], name: str, value: object) -> bool:
    """Assign an object that a tool has read from the class; return whether the field exists."""
    if isinstance(value, Declarations):
        _declare(group, value)
        return True
    if value is AsDeclared.AS_DECLARED:
        return True
    field = group.__group_fields__.get(name)
    if field is None:
        return False
    if isinstance(value, FieldState) and value.variable is field.variable:
        value.restore()
    else:
        field.check(value, group.__qualname__, name)
    return True


def _declare(group: type[Group], declarations: Declarations) -> None:
    """Add the fields to a group that is unpickled with its attributes, unless it has them."""
    in_class = class_dict(group)
    new = {
        name: field.named(full_name, group.__qualname__, name)
        for name, (full_name, field) in declarations.items()
        if name not in in_class
    }
    if new:
        others = {name: it for name, it in group.__group_fields__.items() if name not in new}
        for name, field in new.items():
            type.__setattr__(group, name, _descriptor(field))
        type.__setattr__(group, "__group_fields__", Fields(new, others))
        declare_portable(new, group.__module__, group.__qualname__)


def _delete(group: type[Group], name: str) -> bool:
    """Restore the default of a field; return whether there is a field of this name."""
    field = group.__group_fields__.get(name)
    if field is None:
        return False
    if field.required:
        message = (
            f"{group.__qualname__}.{name} cannot be deleted: it has no default. To take its value "
            f"away, call {group.__qualname__}.variables[{name!r}].delete()"
        )
        raise AttributeError(message, name=name, obj=group)
    if field.variable.is_set():
        field.variable.delete()
    return True


# Pickling variables


def _reduced(variable: ContextVar[Any]) -> tuple[Any, ...] | None:
    """Return how the variable of a field is pickled: by its group and the name of the field.

    O(groups): this searches the subclasses of `Group`, which CPython refers to weakly. A table of
    variables would keep groups alive.
    """
    name = variable.name.rpartition(".")[2]
    groups: list[Any] = [Group]
    for group in groups:
        field = group.__group_fields__.get(name)
        if field is not None and field.variable is variable and name in vars(group):
            return _variable, (group, name)
        groups += group.__subclasses__()
    return None


def _variable(group: GroupMeta, name: str) -> ContextVar[Any]:
    try:
        return group.variables[name]
    except KeyError:
        # cloudpickle fills the classes of `__main__` last, after the globals of their methods.
        raise UnpicklingError(
            f"{group.__qualname__}.{name} is not declared yet: in methods of the group, write "
            f"{group.__qualname__}.variables[{name!r}] instead of a global name for it"
        ) from None


# Before declarations: cloudpickle sends a group with the declarations of its fields.
_pickled_variables.reducers.insert(0, _reduced)
