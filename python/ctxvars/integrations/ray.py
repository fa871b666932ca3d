"""Ray: portable variables travel with tasks and actor calls to the workers of a cluster.

Ray pickles functions and arguments, so the values travel as a pickle, too, and variables that are
declared for "process" are among them. There are no options `accept` and `signer`: who can change
the pickle of a call can run code in any case.

`install` makes `ray.remote` wrap functions, and the methods of classes. The wrapper has one more
parameter, for the values. Ray's attribute `__ray_invocation_decorator__` sends the argument with
each call of `remote`. The creation of an actor does not look at this attribute, so `install` also
replaces `ActorClass._remote`.

The tracing hook of Ray was not chosen: it needs OpenTelemetry, leaves out generators, and runs no
code in the worker that could set variables.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing
from functools import update_wrapper, wraps
from typing import Any

import ray
from ray import cloudpickle
from ray._private import worker
from ray.actor import ActorClass

from ctxvars._core import ContextVar
from ctxvars._portable.processes.carry import CarriedFunction
from ctxvars._portable.processes.payload import dumps_values

__all__ = ["install", "uninstall"]

PARAMETER = "_ctxvars_values"
"""The parameter for the values. Tracing has such a parameter, too."""

_is_running: ContextVar[bool] = ContextVar("ctxvars.integrations.ray.is_running", default=False)
"""Whether this is the code of a task. Methods that it calls directly run in its context."""

_originals: dict[str, Any] = {}


def install() -> None:
    """Run tasks and methods of actors with the values that portable variables have at the call.

    It is for the functions and classes that `ray.remote` wraps afterwards, so call it before the
    modules with these are imported. Those of Ray itself are left alone. A worker installs it when
    it runs the first such task. If workers import modules with other remote functions, let Ray
    install it when it starts them:

        ray.init(runtime_env={"worker_process_setup_hook": "ctxvars.integrations.ray.install"})

    Each task and each call of a method runs in a copy of the context of the worker, so no other one
    sees the variables that it sets. Retries have the values of the call. A second `install` changes
    nothing.

    An exception that pickling a value raises is passed on to the caller of `remote`, with a note
    that names the variable. O(declared variables + size of the values) for each call.
    """
    if not _originals:
        _originals.update(make_remote=worker._make_remote, create=ActorClass._remote)
        worker._make_remote = _making(worker._make_remote)
        ActorClass._remote = _creating(ActorClass._remote)


def uninstall() -> None:
    """Undo `install` in this process. What was declared in the meantime still carries values.

    Raises:
        ValueError: it is not installed.
    """
    if not _originals:
        raise ValueError("ctxvars.integrations.ray is not installed")
    worker._make_remote = _originals.pop("make_remote")
    ActorClass._remote = _originals.pop("create")


def _making(make_remote: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function behind `ray.remote`, for functions and classes that carry values."""

    @wraps(make_remote)
    def make_remote_with_values(function_or_class: Any, options: dict[str, Any]) -> Any:
        if function_or_class.__module__.partition(".")[0] != "ray":
            if inspect.isclass(function_or_class):
                function_or_class = _carrying_class(function_or_class)
            elif inspect.isfunction(function_or_class):
                function_or_class = _carrying(function_or_class)
        return make_remote(function_or_class, options)

    return make_remote_with_values


def _creating(create: Callable[..., Any]) -> Callable[..., Any]:
    """Return `ActorClass._remote` for constructors that get values."""

    @wraps(create)
    def create_with_values(
        self: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any
    ) -> Any:
        constructor = getattr(self.__ray_metadata__.modified_class, "__init__", None)
        if getattr(constructor, "__ray_invocation_decorator__", None) is not None:
            kwargs = {**(kwargs or {}), PARAMETER: dumps_values(cloudpickle.dumps)}
        return create(self, args, kwargs, *rest, **options)

    return create_with_values


# Functions


def _carrying_class(cls: type) -> type:
    """Return a subclass whose methods carry values."""
    namespace: dict[str, Any] = {
        name: _carrying(member)
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if (not name.startswith("__") or name in {"__init__", "__call__"})
        and not isinstance(inspect.getattr_static(cls, name), staticmethod)
    }
    for name in ("__module__", "__qualname__", "__doc__"):
        namespace[name] = getattr(cls, name)
    return type(cls)(cls.__name__, (cls,), namespace)


def _carrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the same kind, with one more parameter."""
    carrying: Any
    if inspect.isasyncgenfunction(function):

        async def carrying(*args: Any, _ctxvars_values: Any = None, **kwargs: Any) -> Any:
            async with aclosing(_run(function, _ctxvars_values, args, kwargs)) as items:
                async for item in items:
                    yield item

    elif inspect.iscoroutinefunction(function):

        async def carrying(*args: Any, _ctxvars_values: Any = None, **kwargs: Any) -> Any:
            return await _run(function, _ctxvars_values, args, kwargs)

    elif inspect.isgeneratorfunction(function):

        def carrying(*args: Any, _ctxvars_values: Any = None, **kwargs: Any) -> Any:
            return (yield from _run(function, _ctxvars_values, args, kwargs))

    else:

        def carrying(*args: Any, _ctxvars_values: Any = None, **kwargs: Any) -> Any:
            return _run(function, _ctxvars_values, args, kwargs)

    update_wrapper(carrying, function)
    # Ray takes the signature from the innermost function, which has no parameter for the values.
    del carrying.__wrapped__
    carrying.__signature__ = _with_parameter(inspect.signature(function))
    carrying.__ray_invocation_decorator__ = _Sending(
        getattr(function, "__ray_invocation_decorator__", None)
    )
    return carrying  # type: ignore[no-any-return]


def _with_parameter(signature: inspect.Signature) -> inspect.Signature:
    parameters = [*signature.parameters.values()]
    is_last = parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    new = inspect.Parameter(PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters.insert(len(parameters) - bool(is_last), new)
    return signature.replace(parameters=parameters)


class _Sending:
    """What Ray calls with the function that sends a call; it returns another such function."""

    def __init__(self, other: Callable[..., Any] | None) -> None:
        self._other = other

    def __call__(self, invocation: Callable[..., Any]) -> Callable[..., Any]:
        def invoke(args: Any, kwargs: Any) -> Any:
            return invocation(args, {**kwargs, PARAMETER: dumps_values(cloudpickle.dumps)})

        return invoke if self._other is None else self._other(invoke)


# On a worker


def _run(
    function: Callable[..., Any], payload: bytes | None, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Call a function with the values in a payload."""
    is_worker = worker.global_worker.mode == ray.WORKER_MODE
    if payload is None and (_is_running.get() or not is_worker):
        # A method that another method of the actor calls, or a direct call, as in a test.
        return function(*args, **kwargs)
    if is_worker:
        install()
    with _is_running.scope(True):
        return CarriedFunction(function, payload or b"", clear_missing=True)(*args, **kwargs)
