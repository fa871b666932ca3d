"""Error messages of groups and bound functions that are used in a way that cannot work."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import bind, isolated


class Settings(ctxvars.Group):
    precision: int = 28


def test_an_instance_that_is_entered_already_is_named_as_the_user_wrote_it() -> None:
    message = r"^Settings\(precision=6\) is entered already: enter a copy, which copy\.copy\(\)"
    with Settings(precision=6) as settings:
        with pytest.raises(RuntimeError, match=message) as caught:
            settings.__enter__()
        assert caught.value.__suppress_context__
        with copy.copy(settings):
            assert Settings.precision == 6


def test_an_instance_that_is_not_entered_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(RuntimeError, match=r"^Settings\(precision=6\) is not entered: use it in"):
        Settings(precision=6).__exit__(None, None, None)


def test_another_error_of_entering_is_left_alone() -> None:
    class Recursion(ctxvars.Group):
        value: int

        def __repr__(self) -> str:
            raise NotImplementedError

    def enter(depth: int) -> None:
        with Recursion(value=depth):
            enter(depth + 1)

    with pytest.raises(RecursionError):
        enter(0)
    assert not hasattr(Recursion, "value")


@isolated
def at_module_level() -> None: ...


def plain() -> None: ...


class Methods:
    @isolated
    def method(self) -> None: ...

    def bound(self) -> None: ...


bound_by_decorator = bind(plain)
bound_by_decorator.__qualname__ = "bound_by_decorator"
NOT_SENT = "bound to a context, which cannot be sent: send the function itself, and the values"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bind(plain), rf"^cannot pickle {__name__}\.plain {NOT_SENT}"),
        (ctxvars.snapshot().bind(Methods.bound), rf"{__name__}\.Methods\.bound {NOT_SENT}"),
        (bind(functools.partial(print)), rf"cannot pickle functools\.partial\(.*{NOT_SENT}"),
        (isolated(plain), rf"^cannot pickle {__name__}\.plain isolated: that name does not refer"),
        (isolated(lambda: None), r"cannot pickle .*<lambda> isolated: that name does not refer"),
    ],
    ids=["bound", "of a class", "partial", "isolated", "lambda"],
)
def test_a_function_that_cannot_be_pickled_says_what_to_send(
    function: Callable[..., Any], message: str
) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(pickle.PicklingError, match=message):
            pickle.dumps(function, protocol)


@pytest.mark.parametrize("function", [at_module_level, Methods.method, bound_by_decorator])
def test_a_function_is_pickled_by_its_name(function: Callable[..., Any]) -> None:
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize("function", [bind(plain), isolated(lambda: None), at_module_level])
def test_a_copy_of_a_function_is_itself(function: Callable[..., Any]) -> None:
    assert copy.copy(function) is copy.deepcopy([function])[0] is function
