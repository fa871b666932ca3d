"""The layout of native objects is verified at import, and is not used if a number is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ctxvars
from ctxvars import _core
from tests.support.builds import FREE_THREADED, IN_PLACE
from tests.support.in_place import NOISE, check_all, fresh, is_set_in_place, only_in_place
from tests.support.subprocesses import ROOT, in_subprocess

SOURCE = ROOT / "src" / "python" / "context" / "native_layout" / "mod.rs"
WORD = 8
HEAD = 2 * WORD
# The right numbers on 64-bit machines.
LAYOUT = {
    "thread_version": WORD,
    "thread_id": 2 * WORD,
    "context_variables": HEAD + WORD,
    "context_weak_references": HEAD + 2 * WORD,
    "context_entered": HEAD + 3 * WORD,
    "context_size": HEAD + 4 * WORD,
    "hamt_root": HEAD,
    "hamt_weak_references": HEAD + WORD,
    "hamt_count": HEAD + 2 * WORD,
    "hamt_size": HEAD + 3 * WORD,
    "bitmap_count": HEAD,
    "bitmap_bitmap": HEAD + WORD,
    "bitmap_items": HEAD + 2 * WORD,
    "bitmap_size": HEAD + 2 * WORD,
    "array_children": HEAD,
    "array_count": HEAD + 32 * WORD,
    "array_size": HEAD + 33 * WORD,
    "variable_cached": HEAD + 2 * WORD,
    "variable_thread": HEAD + 3 * WORD,
    "variable_version": HEAD + 4 * WORD,
    "variable_size": HEAD + 6 * WORD,
}
HUGE = [2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 8, 2**63 - 1, -(2**31), -(2**63)]


def wrong_numbers(field: str) -> list[int]:
    """All other numbers in a range that is larger than the objects, huge ones and negative ones."""
    small = [*range(-80, 160), *range(160, 640, 4)]
    return [number for number in [*small, *HUGE] if number != LAYOUT[field]]


def accepted(field: str) -> list[int]:
    """The wrong numbers that the verification does not notice."""
    return [it for it in wrong_numbers(field) if _core.verify_layout(field, it) is None]


def all_accepted() -> dict[str, list[int]]:
    found = {field: accepted(field) for field in LAYOUT}
    use_everything()
    return {field: numbers for field, numbers in found.items() if numbers}


def use_everything() -> None:
    for noise in NOISE:
        context, made = fresh(noise, 20)
        check_all(context, made)
        context.run(made[0].reset, context.run(made[0].set, [1]))
        assert is_set_in_place(context, made[1].ours, ["in place"]) == IN_PLACE
        context.run(made[1].native.set, context[made[1].ours])
        copy = context.copy()
        copy.run(made[1].set, ["in the copy"])
        check_all(copy, made)
        check_all(context, made)


def test_the_table_of_this_file_has_all_fields() -> None:
    if not SOURCE.exists():
        pytest.skip("the source is not here")
    table = re.search(r"^layout! \{\n(.*?)^\}", SOURCE.read_text(), re.DOTALL | re.MULTILINE)
    assert table is not None
    assert re.findall(r"^ +(\w+) = ", table[1], re.MULTILINE) == [*LAYOUT]


@only_in_place
@pytest.mark.parametrize("field", LAYOUT)
def test_a_wrong_number_is_noticed(field: str) -> None:
    assert accepted(field) == []
    reason = _core.verify_layout(field, LAYOUT[field] + 8)
    assert reason is not None
    assert re.fullmatch("(the |a |an )[a-zA-Z ]+", reason)
    assert _core.verify_layout(field, LAYOUT[field]) is None
    use_everything()


@only_in_place
def test_the_size_of_another_type_is_noticed() -> None:
    sizes = [field for field in LAYOUT if field.endswith("_size")]
    for field in sizes:
        for other in sizes:
            is_equal = LAYOUT[field] == LAYOUT[other]
            assert (_core.verify_layout(field, LAYOUT[other]) is None) == is_equal, (field, other)


def run(source: str, *options: str, **environment: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, *options, "-c", source],
        env={**os.environ, **environment},
        cwd=Path(ctxvars.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


CALL = f"""
import faulthandler, sys
faulthandler.enable()
sys.path.insert(0, {str(ROOT)!r})
from tests.in_place.test_verification import {{0}}
print({{0}}())
"""


@only_in_place
@pytest.mark.parametrize("allocator", ["debug", "malloc", "malloc_debug", "pymalloc"])
def test_wrong_numbers_do_not_crash(allocator: str) -> None:
    assert run(CALL.format("all_accepted"), PYTHONMALLOC=allocator) == "{}"


@only_in_place
def test_wrong_numbers_do_not_crash_in_development_mode() -> None:
    assert run(CALL.format("all_accepted"), "-X", "dev") == "{}"


@pytest.mark.parametrize("arguments", [("root", 8), ("", 8), ("hamt_root\0", 16), (1, 2)])
def test_a_field_that_does_not_exist_is_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match="the layout has no field"):
        _core.verify_layout(*arguments)


def test_arguments_of_other_types_are_refused() -> None:
    verify: Any = _core.verify_layout
    for arguments in [(), ("hamt_root",), ("hamt_root", 16, 16), ("hamt_root", "16")]:
        with pytest.raises(TypeError):
            verify(*arguments)
    with pytest.raises(OverflowError):
        verify("hamt_root", 2**64)


REASON = "import sys; from ctxvars import _core; print(_core.not_in_place)"


def test_the_environment_switches_it_off() -> None:
    reason = "CTXVARS_DIRECT=0 is in the environment"
    unknown = "this build of the interpreter is not known"
    assert run(REASON, CTXVARS_DIRECT="0") in (reason, unknown)
    other = run(REASON, CTXVARS_DIRECT="1")
    assert other not in (reason, "")
    assert run(REASON, CTXVARS_DIRECT="") == other


def test_without_it_everything_works() -> None:
    assert run(CALL.format("use_in_fallback"), CTXVARS_DIRECT="0") == "False"


def use_in_fallback() -> bool:
    use_everything()
    return IN_PLACE


@pytest.mark.skipif(
    FREE_THREADED or sys.implementation.name != "cpython" or sys.maxsize < 2**32,
    reason="the layout is that of CPython with the GIL, on 64-bit machines",
)
@pytest.mark.skipif(sys.version_info >= (3, 16), reason="newer than the layout")
def test_it_is_active_on_the_versions_that_are_known() -> None:
    assert run(REASON, CTXVARS_DIRECT="") == "None"
    if os.environ.get("CTXVARS_DIRECT") != "0":
        assert IN_PLACE, _core.not_in_place


def verify_while_memory_is_short() -> list[str]:
    """Verify while one allocation fails after the other; return what was wrong."""
    testcapi: Any = import_module("_testcapi")
    variable, wrong = ctxvars.ContextVar("v"), []
    variable.set(["before"])
    for n in range(2000):
        result: object = None
        is_failed = False
        testcapi.set_nomemory(n, n + 1)
        try:
            result = _core.verify_layout("hamt_root", LAYOUT["hamt_root"])
        except MemoryError:
            is_failed = True
        finally:
            testcapi.remove_mem_hooks()
        if result is not None:
            wrong.append(f"{n}: {result}")
        if variable.get() != ["before"] or [*ctxvars.copy_context()] != [variable]:
            wrong.append(f"{n}: another context is current")
        if not is_failed and n > 300:
            break
    use_everything()
    return wrong


@only_in_place
def test_verification_out_of_memory_raises_memory_error() -> None:
    pytest.importorskip("_testcapi", reason="this Python is installed without its test modules")
    assert in_subprocess(verify_while_memory_is_short) == []
