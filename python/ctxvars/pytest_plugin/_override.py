"""The fixture `ctxvars_override`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ctxvars._core import ContextVar, GroupBase, scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from ctxvars._core import _MissingType
    from ctxvars.pytest_plugin._isolation import Isolation

T = TypeVar("T")

# Stands for an argument that was not given; MISSING is a value.
_NOT_GIVEN: Any = object()


class Override:
    """Sets variables until the end of the test: the value of the fixture `ctxvars_override`."""

    def __init__(self, isolation: Isolation | None) -> None:
        self._isolation = isolation
        self._scopes = ExitStack()

    @overload
    def __call__(self, values: ContextVar[T], value: T, /) -> None: ...
    @overload
    def __call__(self, values: ContextVar[Any], value: _MissingType, /) -> None: ...
    @overload
    def __call__(self, values: Mapping[ContextVar[Any], Any] | GroupBase, /) -> None: ...
    def __call__(self, values: Any, value: Any = _NOT_GIVEN, /) -> None:
        """Set a variable, the variables of a mapping, or the fields of an instance of a group.

        `MISSING` takes a value away. O(k log n) for k variables.

        Raises:
            TypeError: the arguments are others.
        """
        if value is not _NOT_GIVEN:
            if not isinstance(values, ContextVar):
                raise TypeError(f"expected a ContextVar and a value, not {values!r}")
            entered: Any = values.scope(value)
        else:
            entered = values if isinstance(values, GroupBase) else scope(values)
        with self._isolation.owned_by(self) if self._isolation is not None else nullcontext():
            self._scopes.enter_context(entered)

    def undo(self) -> None:
        """Restore all values, in the current context."""
        self._scopes.close()
        if self._isolation is not None:
            self._isolation.release(self)


@contextmanager
def override_for(request: pytest.FixtureRequest) -> Iterator[Override]:
    """Make an Override for a test, and undo it at the end."""
    hooks: Any = request.config.pluginmanager.get_plugin("ctxvars_hooks")
    override = Override(None if hooks is None else hooks.isolation)
    item: Any = request.node
    function: Any = getattr(item, "obj", None)
    undoes_in_task = hooks is None and iscoroutinefunction(function)
    if undoes_in_task:
        # The plugin is off. The task of the test may outlive the test, and has another context.
        @wraps(function)
        async def test(*positional: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            try:
                return await function(*positional, **arguments)
            finally:
                override.undo()

        item.obj = test
    try:
        yield override
    finally:
        if undoes_in_task:
            item.obj = function
        override.undo()
