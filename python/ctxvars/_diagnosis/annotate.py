"""`annotate_exceptions`: notes with the values of variables on exceptions that pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, TypeVar

from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar, copy_context
from ctxvars._diagnosis.origin import check_variable
from ctxvars._diagnosis.wording import REDACTED, is_secret_name, short_repr
from ctxvars._public import public

_Function = TypeVar("_Function", bound=Callable[..., Any])

MOST_VARIABLES = 50
"""The variables that a note lists, if none are named."""


def annotate_exceptions(
    *variables: ContextVar[Any], redact: Iterable[ContextVar[Any] | str] = ()
) -> AnnotateExceptions:
    """Return a context manager that adds the values of variables to exceptions, as a note.

    Tracebacks show the note below the message. It has the values at the end of the block, where the
    exception leaves it; scopes inside of the block have been left by then. It is also a decorator
    for functions, coroutine functions and generator functions.

    Args:
        variables: the variables to list; by default, all variables of ctxvars that have a value.
        redact: variables, or parts of names, whose values are not shown. Variables with names such
            as "password", "token", "api_key", "cookie" or "session" are redacted in any case.
            Secrets inside of other values are not recognised.

    Raises:
        TypeError: an argument is of another type.

    Each value is a `repr` of at most 120 characters. A `repr` that raises does not replace the
    exception. Only instances of `Exception` get a note, and the same note is added once. Free
    without an exception; O(variables) with one.

    >>> import ctxvars
    >>> user, token = ctxvars.ContextVar("user"), ctxvars.ContextVar("auth_token")
    >>> with user.scope("Ada"), token.scope("9f2c"):
    ...     try:
    ...         with ctxvars.annotate_exceptions(user, token):
    ...             raise ValueError("not found")
    ...     except ValueError as error:
    ...         print(*error.__notes__)
    context variables: user = 'Ada', auth_token = <redacted>
    """
    for variable in variables:
        check_variable("annotate_exceptions", variable)
    if isinstance(redact, str):
        raise TypeError(
            "annotate_exceptions() argument 'redact' must be an iterable of variables and names, "
            f"got {redact!r}"
        )
    redacted = tuple(redact)
    for each in redacted:
        if not isinstance(each, ContextVar | str):
            raise TypeError(
                "annotate_exceptions() argument 'redact' must have variables and names, got "
                f"{each!r}"
            )
    return AnnotateExceptions(variables, redacted)


public(annotate_exceptions)


class AnnotateExceptions:
    """The result of `annotate_exceptions`. It can be used any number of times, in any thread."""

    __slots__ = ("_redacted", "_variables")

    def __init__(
        self, variables: tuple[ContextVar[Any], ...], redacted: tuple[ContextVar[Any] | str, ...]
    ) -> None:
        self._variables = variables
        self._redacted = redacted

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        # Iterators end by StopIteration. It is not a failure.
        if isinstance(value, Exception) and not isinstance(
            value, StopIteration | StopAsyncIteration
        ):
            self._annotate(value)

    def __call__(self, function: _Function, /) -> _Function:
        """Decorate a function, so that exceptions of its calls are annotated.

        Raises:
            TypeError: `function` is not callable, or is an async generator function.
        """
        check_callable("annotate_exceptions", "function", function)
        if isasyncgenfunction(function):
            raise TypeError(
                "annotate_exceptions() cannot decorate an async generator function, got "
                f"{function!r}: write `with annotate_exceptions():` in its body"
            )
        wrapper: Any
        if iscoroutinefunction(function):

            @wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

        elif isgeneratorfunction(function):

            @wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return (yield from function(*args, **kwargs))

        else:

            @wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        decorated: _Function = wrapper
        return decorated

    def _annotate(self, error: Exception) -> None:
        try:
            note = self._note()
            if note and note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        except BaseException:
            # Code of the user has failed: a `__repr__`, or an `add_note`. The exception that is
            # being raised is the one to see.
            pass

    def _note(self) -> str:
        bindings = copy_context().bindings
        variables = self._variables or sorted(bindings, key=lambda variable: variable.name)
        values = [
            f"{variable.name} = {self._text(variable, bindings[variable])}"
            if variable in bindings
            else f"{variable.name} has no value"
            for variable in variables[:MOST_VARIABLES]
        ]
        if len(variables) > MOST_VARIABLES:
            values.append(f"and {len(variables) - MOST_VARIABLES} more")
        return f"context variables: {', '.join(values)}" if values else ""

    def _text(self, variable: ContextVar[Any], value: Any) -> str:
        return REDACTED if self._is_secret(variable) else short_repr(value)

    def _is_secret(self, variable: ContextVar[Any]) -> bool:
        name = variable.name
        return is_secret_name(name) or any(
            each.lower() in name.lower() if isinstance(each, str) else each is variable
            for each in self._redacted
        )
