"""Log records with the values that variables have when the log call is made.

A record may be formatted later, on another thread, for example by a `QueueListener`. The context of
the log call is not available there. So a filter, or the factory of records, stores the values on
the record during the call. A processor does the same for `structlog`.

Variables are those of ctxvars or of the standard library. The record refers to the value itself,
not to a copy.
"""

from __future__ import annotations

import logging
from _contextvars import ContextVar as NativeContextVar
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence, Set
from pkgutil import resolve_name
from typing import Any, TypeAlias

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar
from ctxvars._groups.group import GroupMeta
from ctxvars._missing import MISSING

__all__ = ["ContextFilter", "record_factory", "structlog_processor"]

# The attributes of every record, and those that formatting adds.
_RESERVED = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}

_Variable: TypeAlias = ContextVar[Any] | NativeContextVar[Any]
_Variables: TypeAlias = _Variable | GroupMeta | str | Mapping[str, _Variable | str]


def _named(path: Any) -> Any:
    """Return the object of a dotted name, of a field its variable; other objects as they are."""
    if not isinstance(path, str) or not {*path} & {*".:"}:
        return path
    owner, _, name = path.rpartition(".")
    if owner and ":" not in name:
        found = resolve_name(owner)
        if isinstance(found, GroupMeta) and name in found.variables:
            return found.variables[name]
    return resolve_name(path)


def _with_names(variables: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Iterate over the variables that arguments stand for, each with its name on the record."""
    for each in variables:
        it = _named(each)
        if isinstance(it, GroupMeta):
            yield from it.variables.items()
        elif isinstance(it, Mapping):
            # Not `items`: for a dict in a `dictConfig`, it does not resolve "ext://...".
            for name in it:
                yield name, _named(it[name])
        else:
            name = getattr(it, "name", "")
            # The variable of a field is named with its module and its group.
            is_field = isinstance(each, str) and name == each
            yield each.rpartition(".")[2] if is_field else name, it


def _elements(variables: Any) -> list[Any]:
    """The elements of the keyword `variables`, which may be a single variable."""
    if not isinstance(variables, (list, tuple)):
        return [variables]
    # Not by iteration: for a list in a `dictConfig`, it does not resolve "ext://...".
    return [variables[index] for index in range(len(variables))]


class _Captured:
    """The variables to record, by name, and the default for those without a value."""

    def __init__(
        self,
        function: str,
        variables: Iterable[_Variables],
        default: object,
        reserved: Set[str] = frozenset(),
    ) -> None:
        self.default = default
        self.variables: dict[str, _Variable] = {}
        for name, variable in _with_names(variables):
            if not isinstance(name, str) or not isinstance(variable, ContextVar | NativeContextVar):
                raise TypeError(
                    f"{function}() takes variables, groups, dotted names of these, and mappings "
                    f"from names to variables, not {variable!r}"
                )
            problem = ""
            if name in reserved:
                problem = f"{name!r} is a name that every log record has"
            elif self.variables.setdefault(name, variable) is not variable:
                problem = f"two variables are named {name!r}"
            if problem:
                raise ValueError(f"{function}(): {problem}; pass a mapping with another name")
        if not self.variables:
            raise ValueError(f"{function}() needs at least one variable")

    def add_to(self, target: MutableMapping[str, Any]) -> None:
        """Add the values, unless the name is there already: it was recorded closer to the call."""
        for name, variable in self.variables.items():
            if name not in target:
                try:
                    target[name] = variable.get()
                except LookupError:
                    if self.default is not MISSING:
                        target[name] = self.default


class ContextFilter(logging.Filter):
    """A filter that stores the values of variables on every log record, during the log call.

    Args:
        positional: variables of ctxvars or of the standard library, recorded under their names;
            groups, whose fields are recorded under their names; mappings from other names to
            variables. A variable or group may be given by its dotted name, `"module.variable"`,
            which is imported; a field by that of its group, `"module.Group.field"`.
        variables: a list of such arguments.
        default: recorded for a variable that has neither a value nor a default. With
            `ctxvars.MISSING`, the variable is left out.
        named: variables, or dotted names, each recorded under the name of its keyword. With
            keywords only, `logging.config.dictConfig` can make the filter.

    A handler with this filter can format `%(name)s`. If a handler passes records on to another
    thread (`QueueHandler`), add the filter to this handler or to the logger. A value that a record
    has under the name already, for example by `extra=`, is kept; so a second filter on the other
    thread is harmless. The filter passes all records.

    Raises:
        TypeError: an argument is not a variable.
        ValueError: no variable is given, two have the same name, or a name is one that log records
            use themselves.
        ImportError, AttributeError: a dotted name does not exist.

    O(number of variables) for each record.

    >>> import logging, sys
    >>> from ctxvars import ContextVar
    >>> from ctxvars.logging import ContextFilter
    >>> user, request_id = ContextVar("user"), ContextVar("request_id", default=0)
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> handler.addFilter(ContextFilter(user, {"request": request_id}, default="-"))
    >>> handler.setFormatter(logging.Formatter("%(user)s %(request)s %(message)s"))
    >>> logger = logging.Logger("shop")
    >>> logger.addHandler(handler)
    >>> logger.info("opened")
    - 0 opened
    >>> with user.set("Ada"):
    ...     logger.info("bought")
    Ada 0 bought
    """

    def __init__(
        self,
        *positional: _Variables,
        variables: _Variables | Sequence[_Variables] = (),
        default: object = None,
        **named: _Variable | str,
    ) -> None:
        super().__init__()
        every = [*positional, *_elements(variables), named]
        self._captured = _Captured("ContextFilter", every, default, _RESERVED)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the values to the record, and return `True`."""
        self._captured.add_to(vars(record))
        return True


def record_factory(
    *variables: _Variables,
    default: object = None,
    factory: Callable[..., logging.LogRecord] | None = None,
) -> Callable[..., logging.LogRecord]:
    """Return a factory of log records with the values of variables.

    Args:
        variables: as for `ContextFilter`.
        default: as for `ContextFilter`.
        factory: the factory of the records; `None` for the current one.

    Returns:
        A factory for `logging.setLogRecordFactory`. It makes every record of the process, so the
        handlers need no set-up. But `extra=` cannot use the names of the variables: `logging`
        raises a `KeyError`.

    Raises:
        TypeError: an argument is not a variable, or `factory` is not callable.
        ValueError: as for `ContextFilter`.

    O(number of variables) for each record.

    >>> import logging
    >>> from ctxvars import ContextVar
    >>> from ctxvars.logging import record_factory
    >>> user = ContextVar("user", default="nobody")
    >>> make = record_factory(user)
    >>> with user.set("Ada"):
    ...     record = make("shop", logging.INFO, "shop.py", 1, "bought", (), None)
    >>> record.user
    'Ada'
    """
    captured = _Captured("record_factory", variables, default, _RESERVED)
    make = logging.getLogRecordFactory() if factory is None else factory
    check_callable("record_factory", "factory", make)

    def make_with_values(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        captured.add_to(vars(record))
        return record

    return make_with_values


def structlog_processor(
    *variables: _Variables,
    default: object = MISSING,
) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """Return a `structlog` processor that adds the values of variables to each event.

    Args:
        variables: as for `ContextFilter`, but any name may be used.
        default: added for a variable that has neither a value nor a default. By default, such a
            variable is left out.

    Returns:
        A processor for `structlog.configure(processors=[...])`. It keeps the values that the event
        has already.

    Raises:
        TypeError: an argument is not a variable.
        ValueError: no variable is given, or two have the same name.

    O(number of variables) for each event.

    >>> from ctxvars import ContextVar
    >>> from ctxvars.logging import structlog_processor
    >>> user, order = ContextVar("user"), ContextVar("order")
    >>> process = structlog_processor(user, order)
    >>> with user.set("Ada"):
    ...     process(None, "info", {"event": "bought"})
    {'event': 'bought', 'user': 'Ada'}
    """
    captured = _Captured("structlog_processor", variables, default)

    def process(
        logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        captured.add_to(event_dict)
        return event_dict

    return process
