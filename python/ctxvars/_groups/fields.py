"""The fields of groups: their declarations, default values and validation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from functools import reduce
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, get_origin, overload

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar, VariableDescriptor
from ctxvars._missing import MISSING
from ctxvars._public import public

if TYPE_CHECKING:
    from ctxvars._portable.declaration import Portable

T = TypeVar("T")
Validate = Callable[[Any], object]


@public
class UnsetFieldError(AttributeError, LookupError):
    """A field of a `Group` has neither a value nor a default.

    Its argument is the variable of the field, like that of the `LookupError` that `ContextVar.get`
    raises. It is an `AttributeError`, too, for `hasattr`, `getattr` with a default, `match`, mocks
    and completion in editors.
    """

    def __str__(self) -> str:
        match self.args:
            case [ContextVar(name=name)]:
                return f"{name} is not set in this context"
        return super().__str__()


class Field:
    """A field: its declaration in the body of a class and, once the group exists, its variable."""

    __slots__ = ("default", "default_factory", "portable", "validate", "variable")

    variable: ContextVar[Any]

    def __init__(
        self,
        default: Any = MISSING,
        default_factory: Callable[[], Any] | None = None,
        validate: Validate | None = None,
        portable: Portable | None = None,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.validate = validate
        self.portable = portable

    @property
    def required(self) -> bool:
        """Whether the field has to be set before it is read."""
        return self.default is MISSING and self.default_factory is None

    def check(self, value: object, group: str, name: str) -> None:
        """Raise an exception if the field cannot have this value."""
        if type(value) in INTERNAL:
            raise TypeError(
                f"{group}.{name} cannot be set to {value!r}, which is not a value of a field"
            )
        if self.validate is None:
            return
        try:
            is_refused = self.validate(value) is False
        except Exception as error:
            error.add_note(f"while setting {group}.{name}")
            raise
        if is_refused:
            raise ValueError(f"{group}.{name} cannot be {value!r}: its validate returned False")

    def made(self, module: str, group: str, name: str) -> Field:
        """Return a copy of the field with its own variable, after the default is checked."""
        if self.default is not MISSING:
            check_default(self.default, group, name)
            self.check(self.default, group, name)
        return self.named(f"{module}.{group}.{name}", group, name)

    def named(self, full_name: str, group: str, name: str) -> Field:
        """Return a copy of the field with its own variable, of this name."""
        field = Field(self.default, self.default_factory, self.validate, self.portable)
        if self.default is not MISSING:
            field.variable = ContextVar(full_name, default=self.default)
        elif self.default_factory is not None:
            make = self._make_valid(self.default_factory, group, name)
            field.variable = ContextVar(full_name, default_factory=make)
        else:
            field.variable = ContextVar(full_name)
        return field

    def _make_valid(self, make: Callable[[], Any], group: str, name: str) -> Callable[[], Any]:
        """Return the factory, with validation of its results."""
        if self.validate is None:
            return make

        def make_valid() -> Any:
            value = make()
            self.check(value, group, name)
            return value

        return make_valid

    def __reduce__(self) -> tuple[Any, ...]:
        # The variable is not pickled: the group makes a new one.
        return Field, (self.default, self.default_factory, self.validate, self.portable)


def check_default(default: object, group: str, name: str) -> None:
    """Raise `TypeError` for a mutable default: all contexts would share it."""
    dataclasses = sys.modules.get("dataclasses")
    if dataclasses is not None and isinstance(default, dataclasses.Field):
        raise TypeError(
            f"{group}.{name} cannot be a dataclasses.field(): write ctxvars.group_field(), which "
            "takes default, default_factory and validate"
        )
    # Like dataclasses, take an object without a hash to be mutable.
    if type(default).__hash__ is None:
        kind = type(default).__qualname__
        is_empty = type(default) in (list, dict, set) and not default
        factory = kind if is_empty else f"lambda: {default!r}"
        raise TypeError(
            f"{group}.{name} has a default of type {kind}, which all contexts would share: write "
            f"ctxvars.group_field(default_factory={factory}), which makes one for each context"
        )


class Fields(dict[str, Field]):
    """The fields of a group: first the fields of the class itself, then the inherited ones.

    Pickle sends groups by reference. Tools such as cloudpickle send the classes of `__main__` with
    all their attributes: the receiver makes an empty class, and assigns the attributes one by one.
    For these tools the fields are pickled as `Declarations`. A group that is assigned declarations
    makes fields of them.
    """

    __slots__ = ("own", "plain")

    def __init__(self, own: dict[str, Field], inherited: dict[str, Field]) -> None:
        super().__init__(own | inherited)
        self.own = own
        # The variables of the fields without validation, for compiled code, which must not run the
        # `__eq__` of a name.
        self.plain = {
            name: field.variable
            for name, field in self.items()
            if field.validate is None and type(name) is str
        }

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: (field.variable.name, field) for name, field in self.own.items()}
        return Declarations, (fields,)


class Declarations(dict[str, tuple[str, Field]]):
    """The fields that a pickled group declares, with the names of their variables."""

    __slots__ = ()


class AsDeclared(Enum):
    """The type of `AS_DECLARED`, which stands for a field in the pickled attributes of a group."""

    AS_DECLARED = "AS_DECLARED"


class FieldState:
    """The state of a field at one moment: a descriptor for the field, with the value it had then.

    It is a data descriptor. So `mock` does not use it as the specification of a value, and `help`
    lists it among the data.
    """

    __slots__ = ("value", "variable")

    def __init__(self, variable: ContextVar[Any]) -> None:
        self.variable = variable
        # Not `get()`: a factory would make a default.
        self.value = variable.get() if variable.is_set() else MISSING

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self.variable.get()

    def __set__(self, instance: object, value: object) -> None:
        self.variable.set(value)

    def restore(self) -> None:
        """Give the variable the value it had, or unset it."""
        if self.value is not MISSING:
            self.variable.set(self.value)
        elif self.variable.is_set():
            self.variable.delete()

    def __repr__(self) -> str:
        return f"<field {self.variable.name}: {self.value!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Part of a pickled group with all its attributes: see `Fields`.
        return AsDeclared, (AsDeclared.AS_DECLARED.value,)


# Objects of these types stand for a field, in a class or a pickle. They are never values of fields.
INTERNAL_TYPES: Final = (AsDeclared, VariableDescriptor, Declarations, FieldState)
INTERNAL: Final = frozenset(INTERNAL_TYPES)


@overload
def group_field(
    *,
    default: T,
    default_factory: None = None,
    validate: Callable[[T], object] | None = None,
    portable: str | Portable | None = None,
) -> T: ...
@overload
def group_field(
    *,
    default_factory: Callable[[], T],
    validate: Callable[[T], object] | None = None,
    portable: str | Portable | None = None,
) -> T: ...
@overload
def group_field(
    *,
    default_factory: None = None,
    validate: Callable[[Any], object] | None = None,
    portable: str | Portable | None = None,
) -> Any: ...
def group_field(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    validate: Validate | None = None,
    portable: str | Portable | None = None,
) -> Any:
    """Declare a field of a `Group` that needs more than a default value.

    Args:
        default: the value of the field in a context where it is not set.
        default_factory: makes the default, once for each context that needs it, so contexts do not
            share a mutable value. Without `default` and `default_factory`, the field is required.
        validate: called with each new value of the field, the default included, before the field
            changes. To refuse the value, it raises an exception, or returns `False`; any other
            result accepts it.
        portable: the name under which the values of the field travel to other processes, or a
            `Portable` with more options; by default, they do not. Without a codec, the annotation
            is the codec. `validate` is also called with values that arrive.

    Raises:
        ValueError: both `default` and `default_factory` are given, or `portable` is not a name. The
            class statement raises it if the name is taken.
        TypeError: `default_factory` or `validate` is not callable. The class statement raises it if
            the annotation has no codec.

    The model is `dataclasses.field`. O(1).

    >>> import ctxvars
    >>> def positive(number):
    ...     if number <= 0:
    ...         raise ValueError(f"{number} is not positive")
    >>> class Settings(ctxvars.Group):
    ...     precision: int = ctxvars.group_field(default=28, validate=positive)
    ...     tags: list[str] = ctxvars.group_field(default_factory=list)
    >>> Settings.precision = -1
    Traceback (most recent call last):
    ValueError: -1 is not positive
    while setting Settings.precision
    >>> Settings.precision
    28
    >>> Settings.tags.append("here")
    >>> Settings.tags, ctxvars.copy_context().run(lambda: Settings.tags)
    (['here'], [])
    """
    if default is not MISSING and default_factory is not None:
        raise ValueError("cannot specify both default and default_factory")
    for name, argument in (("default_factory", default_factory), ("validate", validate)):
        if argument is not None:
            check_callable("group_field", name, argument)
    return Field(default, default_factory, validate, _portable(portable))


def _portable(given: str | Portable | None) -> Portable | None:
    if given is None:
        return None
    # Imported for the first portable field.
    from ctxvars._portable.declaration import Portable

    return given if isinstance(given, Portable) else Portable(given)


def declared_in(namespace: dict[str, Any], module: str, group: str) -> dict[str, Field]:
    """Return the fields that the body of a class declares."""
    declared: dict[str, Field] = {}
    for name, annotation in _annotations(namespace).items():
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
            raise TypeError(f"{group} cannot have a field {name!r}: it is not an identifier")
        if not name.startswith("_") and not _is_constant(annotation, module):
            value = namespace.get(name, MISSING)
            field = value if isinstance(value, Field) else Field(value)
            if field.portable is not None and field.portable.needs_codec:
                from ctxvars._portable.fields import with_annotated_codec

                field = with_annotated_codec(field, annotation, module, group, name)
            declared[name] = field
    for name, value in namespace.items():
        if isinstance(value, Field) and name not in declared:
            raise TypeError(
                f"{group}.{name} is not a field: it needs an annotation that is neither "
                "ClassVar nor Final, and a name that does not begin with an underscore"
            )
    return declared


def declare_portable(fields: dict[str, Field], module: str, group: str) -> None:
    """Declare the variables of those fields that are portable."""
    portable = {name: field for name, field in fields.items() if field.portable is not None}
    if portable:
        from ctxvars._portable.fields import declare_fields

        declare_fields(portable, module, group)


def _annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    found = namespace.get("__annotations__")
    if found is None and sys.version_info >= (3, 14):
        # The compiler puts annotations into a function (PEP 649), unless they are text.
        from annotationlib import Format, call_annotate_function, get_annotate_from_class_namespace

        annotate = get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            found = call_annotate_function(annotate, Format.FORWARDREF)
    return found or {}


_CONSTANTS: dict[str, Any] = {"ClassVar": ClassVar, "Final": Final}


def _is_constant(annotation: Any, module: str) -> bool:
    """Whether an annotation, which may be text, is `ClassVar` or `Final`."""
    text = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(text, str):
        path = text.strip("\"' ").partition("[")[0].strip().split(".")
        try:
            annotation = reduce(getattr, path[1:], vars(sys.modules[module])[path[0]])
        except (KeyError, AttributeError, TypeError):
            # The name exists for type checkers only, or in a function: compare the text.
            annotation = _CONSTANTS.get(path[-1])
    origin = get_origin(annotation)
    return any(annotation is it or origin is it for it in _CONSTANTS.values())


def _provider(base: type, name: str) -> type | None:
    """Return the class that `base` gets the attribute from."""
    return next((it for it in base.__mro__ if name in vars(it)), None)


def fields_of(class_: type) -> dict[str, Field]:
    """Return the fields of a group, inherited ones included; none for another class."""
    found: dict[str, Field] = getattr(class_, "__group_fields__", {})
    return found


def check_names(
    metacls: type,
    group: str,
    bases: tuple[type, ...],
    namespace: dict[str, Any],
    declared: dict[str, Field],
) -> None:
    """Raise `TypeError` if the name of a field has another meaning in the class or its bases."""
    for name in declared:
        if hasattr(metacls, name):
            raise TypeError(f"{group}.{name} hides what every group has of that name")
        for provider in (_provider(base, name) for base in bases):
            if provider is not None and name not in fields_of(provider):
                raise TypeError(f"{group}.{name} hides an attribute of {provider.__qualname__}")
    for name in ("as_dict", "snapshot", "variables"):
        if name in namespace or any(_provider(base, name) is not None for base in bases):
            raise TypeError(f"{group}.{name} hides what every group has of that name")
    for name in namespace:
        for base in bases:
            if name not in declared and name in fields_of(base):
                raise TypeError(
                    f"{group}.{name} hides a field of {base.__qualname__}: "
                    "declare it again, by an annotation"
                )


def inherited_from(
    group: str, bases: tuple[type, ...], declared: dict[str, Field]
) -> dict[str, Field]:
    """Return the fields of the bases, without those that the class declares again."""
    inherited: dict[str, Field] = {}
    for name in dict.fromkeys(name for base in bases for name in fields_of(base)):
        if name in declared:
            continue
        providers = [it for base in bases if (it := _provider(base, name)) is not None]
        # If a class and a class derived from it declare the field, the derived one counts.
        first, *others = dict.fromkeys(
            it
            for it in providers
            if not any(it is not other and it in other.__mro__ for other in providers)
        )
        if others:
            raise TypeError(
                f"{group}.{name} is inherited from {first.__qualname__} and, as something else, "
                f"from {others[0].__qualname__}: declare it again, by an annotation"
            )
        inherited[name] = fields_of(first)[name]
    return inherited


public(group_field)
