"""ctxvars with each object in a wrapper written in Python, so that tests can put faults into it.

A wrapper has the behaviour and the messages of the object in it. Other objects are passed on
unchanged, so that wrong arguments are refused with the messages of ctxvars.
"""

from __future__ import annotations

from typing import Any

import ctxvars

# The wrapper of each variable.
variables: dict[Any, ContextVar] = {}


def inner(thing: Any) -> Any:
    return thing._inner if isinstance(thing, Wrapper) else thing


def variable_of(variable: Any) -> ContextVar:
    if variable not in variables:
        variables[variable] = wrapped(ContextVar, variable)
    return variables[variable]


def wrapped(kind: type[Any], thing: Any) -> Any:
    wrapper = object.__new__(kind)
    object.__setattr__(wrapper, "_inner", thing)
    return wrapper


class Wrapper:
    _inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._inner, name, value)

    def __repr__(self) -> str:
        return repr(self._inner)

    def __hash__(self) -> int:
        return hash(self._inner)

    def __eq__(self, other: object) -> Any:
        return self._inner == inner(other)

    def __init_subclass__(cls) -> None:
        if Wrapper not in cls.__bases__:
            type("Sub", (getattr(ctxvars, cls.__base__.__name__),), {})  # raises


class ContextVar(Wrapper):
    def __new__(cls, *arguments: Any, **keywords: Any) -> ContextVar:
        return variable_of(ctxvars.ContextVar(*arguments, **keywords))

    def __class_getitem__(cls, item: Any) -> Any:
        return ctxvars.ContextVar[item]

    def get(self, *default: Any) -> Any:
        return self._inner.get(*default)

    def set(self, *values: Any) -> Token:
        return wrapped(Token, self._inner.set(*values))

    def reset(self, token: Any) -> None:
        self._inner.reset(inner(token))


class Token(Wrapper):
    def __new__(cls) -> Token:
        return wrapped(Token, ctxvars.Token())

    @property
    def var(self) -> ContextVar:
        return variable_of(self._inner.var)

    @property
    def old_value(self) -> Any:
        return self._inner.old_value

    def __enter__(self) -> Token:
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._inner.__exit__(*raised)


class Context(Wrapper):
    def __new__(cls, *arguments: Any) -> Context:
        return wrapped(Context, ctxvars.Context(*arguments))

    @staticmethod
    def wrap(native: Any) -> Context:
        return wrapped(Context, ctxvars.Context.wrap(native))

    @property
    def native(self) -> Any:
        return self._inner.native

    @property
    def run(self) -> Any:
        # Not a Python function: CPython 3.12 keeps the frames that a task was made in, and a frame
        # would keep the wrapper.
        return self._inner.run

    def copy(self) -> Context:
        return wrapped(Context, self._inner.copy())

    def get(self, key: Any, *default: Any) -> Any:
        return self._inner.get(inner(key), *default)

    def __getitem__(self, key: Any) -> Any:
        return self._inner[inner(key)]

    def __contains__(self, key: Any) -> bool:
        return inner(key) in self._inner

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator:
        return wrapped(Iterator, iter(self._inner))

    keys = __iter__

    def values(self) -> Any:
        return self._inner.values()

    def items(self) -> Iterator:
        return wrapped(Iterator, self._inner.items())


class Iterator(Wrapper):
    """Yields wrappers of variables, and values as they are."""

    def __iter__(self) -> Iterator:
        return self

    def __len__(self) -> int:
        return len(self._inner)

    def __next__(self) -> Any:
        item = next(self._inner)
        return (variable_of(item[0]), item[1]) if isinstance(item, tuple) else variable_of(item)


def copy_context() -> Context:
    return wrapped(Context, ctxvars.copy_context())
