"""Declarations: names are unique tokens, and messages name both owners."""

from __future__ import annotations

import contextvars
import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, Group, Portable, group_field, portable
from tests.portable import jobs

ROOT = Path(__file__).parents[2]


class Pickled(Group):
    user: str = group_field(portable="tests.pickled.user")


def test_portable_returns_the_variable() -> None:
    variable: ContextVar[str] = ContextVar("user")
    assert portable(variable, "tests.user") is variable


def test_a_taken_name_is_refused_with_both_owners() -> None:
    portable(ContextVar("first"), "tests.user")
    with pytest.raises(ValueError, match=r"'second', declared in .*'first', declared in"):
        portable(ContextVar("second"), "tests.user")


def test_a_field_with_a_taken_name_is_refused_and_no_field_of_the_group_is_declared() -> None:
    portable(ContextVar("first"), "tests.user")
    with pytest.raises(ValueError, match=r"the field .*Second\.user, .* 'first', declared in"):

        class Second(Group):
            tenant: str = group_field(portable="tests.tenant2")
            user: str = group_field(portable="tests.user")

    portable(ContextVar("tenant"), "tests.tenant2")


def test_a_variable_has_one_name() -> None:
    variable = portable(ContextVar("user"), "tests.user")
    with pytest.raises(ValueError, match=r"it is portable as 'tests\.user' already"):
        portable(variable, "tests.other")


def test_the_same_declaration_in_a_function_is_refused_the_second_time() -> None:
    def declare() -> None:
        portable(ContextVar("user"), "tests.user")

    declare()
    with pytest.raises(ValueError, match="already taken"):
        declare()


def test_a_module_that_is_executed_again_declares_again() -> None:
    code = compile(
        "import ctxvars\n"
        "user = ctxvars.portable(ctxvars.ContextVar('user'), 'tests.user')\n"
        "class Request(ctxvars.Group):\n"
        "    path: str = ctxvars.group_field(portable='tests.path')\n",
        "reloaded.py",
        "exec",
    )
    module = ModuleType("reloaded")
    sys.modules["reloaded"] = module
    try:
        for _ in range(2):
            exec(code, vars(module))
        with module.Request(path="/"), module.user.scope("Ada"):
            assert ctxvars.inject() == {"baggage": "tests.user=Ada,tests.path=/"}
    finally:
        del sys.modules["reloaded"]


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a=b", "ü", "a\n", "a;", '"', "n" * 257, 5])
def test_a_name_that_is_not_a_token_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="token"):
        portable(ContextVar("user"), name)


def test_names_of_ctxvars_are_reserved() -> None:
    with pytest.raises(ValueError, match="reserved"):
        portable(ContextVar("user"), "ctxvars.user")
    with pytest.raises(ValueError, match="reserved"):

        class Request(Group):
            user: str = group_field(portable="ctxvars.user")


def test_variables_of_the_standard_library_are_refused() -> None:
    native: Any = contextvars.ContextVar("native")
    with pytest.raises(TypeError, match=r"must be a ctxvars\.ContextVar"):
        portable(native, "tests.user")


@pytest.mark.parametrize("version", [0, -1, 10_000, "2", True])
def test_a_version_is_a_small_number(version: Any) -> None:
    with pytest.raises(ValueError, match="version"):
        Portable("tests.user", version=version)
    with pytest.raises(ValueError, match="version"):
        Portable("tests.user", older={version: str})


def test_a_level_is_one_of_three() -> None:
    level: Any = "everywhere"
    with pytest.raises(ValueError, match="'to' must be 'process', 'internal' or 'public'"):
        Portable("tests.user", to=level)
    with pytest.raises(ValueError, match="'to' must be"):
        ctxvars.inject(to=level)


@pytest.mark.parametrize("codec", [object(), "yaml", (str,), (str, 5), json])
def test_an_unknown_codec_is_refused(codec: Any) -> None:
    with pytest.raises(TypeError):
        portable(ContextVar("user"), "tests.user", codec=codec)


def test_a_field_takes_its_codec_from_the_annotation() -> None:
    class Request(Group):
        depth: int = group_field(default=0, portable="tests.depth")
        text: int | None = group_field(default=0, portable="tests.text")

    with Request(depth=5, text=None):
        assert ctxvars.inject() == {"baggage": "tests.depth=5,tests.text=~"}


def test_an_annotation_without_a_codec_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match=r"Request\.user is portable.*codec=\.\.\."):

        class Request(Group):
            user: Unknown = group_field(portable="tests.user")  # type: ignore[name-defined] # noqa: F821


def test_a_subclass_shares_the_portable_field() -> None:
    class Request(Group):
        user: str = group_field(portable="tests.user")

    class Special(Request):
        pass

    with Special(user="Ada"):
        assert ctxvars.inject() == {"baggage": "tests.user=Ada"}


def test_a_received_value_of_a_field_is_validated() -> None:
    class Request(Group):
        depth: int = group_field(default=0, portable="tests.depth", validate=lambda it: it < 10)

    with ctxvars.extract({"baggage": "tests.depth=10"}) as received:
        assert Request.depth == 0
    assert [it.reason for it in received.errors] == ["value"]


def test_cloudpickle_sends_a_group_of_main_with_its_declaration() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")

    class Request(Group):
        user: str = group_field(portable=Portable("tests.user", to="public"))

    field = cloudpickle.loads(cloudpickle.dumps(Request.__group_fields__["user"]))
    assert (
        repr(field.portable)
        == "Portable('tests.user', codec=<class 'str'>, to='public', version=1)"
    )


USES = {
    "the import": "",
    "a group without portable fields": """
class Request(ctxvars.Group):
    user: str = ctxvars.group_field(default="")
""",
}


@pytest.mark.parametrize("use", USES)
def test_what_does_not_use_portable_variables_does_not_import_them(use: str) -> None:
    shown = "print([it for it in sys.modules if it.startswith('ctxvars._portable')])"
    program = f"import sys, ctxvars\n{USES[use]}\n{shown}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_portable_variable_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(jobs.tenant)) is jobs.tenant
    field = Pickled.variables["user"]
    assert pickle.loads(pickle.dumps(field)) is field
    assert copy.copy(jobs.tenant) is copy.deepcopy(jobs.tenant) is jobs.tenant
    with pytest.raises(TypeError, match=r"cannot pickle 'ctxvars\.ContextVar' object"):
        pickle.dumps(ctxvars.ContextVar("alone"))


def test_a_pickled_variable_is_declared_by_the_import_of_its_module() -> None:
    pickled = pickle.dumps(jobs.tenant)
    program = f"import pickle; print(pickle.loads({pickled!r}).name)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "tenant\n"


def test_a_pickled_variable_that_is_not_declared_here_is_refused() -> None:
    pickled = pickle.dumps(jobs.tenant).replace(b"tests.tenant", b"tests.absent")
    with pytest.raises(pickle.UnpicklingError, match=r"jobs does not declare .* 'tests\.absent'"):
        pickle.loads(pickled)
