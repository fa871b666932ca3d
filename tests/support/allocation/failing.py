"""Make each allocation of an operation fail in turn, in this process."""

from __future__ import annotations

import contextvars
import dis
import gc
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any

from tests.support.allocation import contexts as table
from tests.support.allocation import frames as allocation_frames  # noqa: F401
from tests.support.allocation import isolation as allocation_isolation  # noqa: F401
from tests.support.allocation import maps as allocation_maps  # noqa: F401
from tests.support.allocation.contexts import GROUPS, Case, plain
from tests.support.builds import IN_PLACE

# An operation that is still failing at this allocation has no end.
LAST = 3000
# Further allocations, by which an operation is known to have made fewer than were to succeed.
PROBES = 200
# What leaks in CPython, in some versions at least, if the right allocation fails.
LEAKS_OF_CPYTHON = {
    "get what a factory makes": "an inner node of a native context, which two variables share",
    "new with factory": "an inner node of a native context, which two variables share",
    "new of lists": "the argument of PySequence_List",
    "merge_deep": "an object of a Python function that calls itself in a loop over items",
    "group_instance_of_validated_values": "the arguments of a function that has cells",
    "group_snapshot": "the arguments of a function that has cells",
    "apply_conflicting_changes": "an exception for which it cannot make a traceback",
    "propagate": "the arguments of a function that has cells",
    "of a metaclass": "a class that type.__new__ cannot finish",
    "observed": "a class that type.__new__ cannot finish",
    "pickle": "a pickler or unpickler that cannot be made",
    "pickle_an_isolated_function": "a pickler or unpickler that cannot be made",
}
if not IN_PLACE:
    # The native `set` copies these nodes.
    LEAKS_OF_CPYTHON |= {
        name: "an inner node of a native context, which two variables share"
        for name in GROUPS["in place"]
        if "native variables" in name
    }
# What crashes CPython 3.12 and later where it has no memory for a function or for its arguments.
CRASHES_OF_CPYTHON = {"apply_conflicting_changes", "make_an_isolated_function", "propagate"}
# Where CPython makes a traceback and runs out of memory, it loses the exception.
LOST = "without"


class Outcome:
    """The result of one operation whose n-th allocation should fail."""

    def __init__(self, case: Case, n: int) -> None:
        testcapi: Any = import_module("_testcapi")
        self.result: object = None
        self.error: str | None = None
        self.is_failed = False
        self.is_reached = True
        run = case.run
        testcapi.set_nomemory(n, n + 1)
        # No exception is kept: CPython has a few instances of MemoryError only, and when they are
        # all in use it adds one traceback after the other to the last.
        try:
            self.result = run()
            try:
                for _ in range(PROBES):
                    bytes(100)
            except MemoryError:
                self.is_reached = False
        except BaseException as raised:
            testcapi.remove_mem_hooks()
            self.error = repr(raised)
            self.is_failed = isinstance(raised, MemoryError) or (
                case.raises and isinstance(raised, SystemError) and LOST in self.error
            )
        finally:
            testcapi.remove_mem_hooks()


@dataclass(frozen=True)
class Expected:
    """The state before an operation, its result, and the state after it."""

    before: object
    result: object
    after: object

    @classmethod
    def of(cls, prepare: Callable[[], Case]) -> Expected:
        def succeed() -> tuple[object, object]:
            case = prepare()
            return plain(case.run()), case.state()

        before = in_a_copy(lambda: prepare().state())
        return cls(before, *in_a_copy(succeed))


def in_a_copy(function: Callable[..., Any], *arguments: object) -> Any:
    return contextvars.copy_context().run(function, *arguments)


def difference(found: object, wanted: object) -> str:
    """Return the parts of an outcome that are not as expected."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        return f"{ {key: found.get(key) for key in keys} }"
    if isinstance(found, (list, tuple)) and isinstance(wanted, (list, tuple)):
        pairs = zip(found, wanted, strict=False)
        return ", ".join(difference(*pair) for pair in pairs if pair[0] != pair[1])
    return repr(found)


def attempt(prepare: Callable[[], Case], n: int, wanted: Expected) -> str | bool:
    """Return what is wrong if the n-th allocation fails, and whether there is such a one."""
    case = prepare()
    outcome = Outcome(case, n)
    if outcome.error is not None and not outcome.is_failed:
        return f"raised {outcome.error}"
    try:
        state = case.state()
        if outcome.is_failed:
            if state != wanted.before:
                return f"failed and left {difference(state, wanted.before)}"
            if not case.is_repeatable:
                return True
            result = case.run()
            state = case.state()
        else:
            result = outcome.result
        found, expected = (plain(result), state), (wanted.result, wanted.after)
        if found != expected:
            how = "when it was tried again" if outcome.is_failed else "at once"
            return f"gave and left {difference(found, expected)} {how}"
        return outcome.is_reached
    except Exception as error:
        return f"raised {error!r} afterwards"


def pass_over(prepare: Callable[[], Case], wanted: Expected) -> list[str]:
    """Make each allocation fail, one per call, from the first to the last."""
    wrong = []
    for n in itertools.count():
        found = in_a_copy(attempt, prepare, n, wanted)
        if isinstance(found, str):
            wrong.append(f"allocation {n}: {found[:600]}")
        elif not found:
            return wrong
        if n == LAST or len(wrong) > 10:
            return [*wrong, "..."]
    raise AssertionError("not reached")


def is_leaking(prepare: Callable[[], Case], wanted: Expected) -> bool:
    """Whether each pass leaves blocks behind. Some passes do while caches grow."""
    for _ in range(25):
        gc.collect()
        before = sys.getallocatedblocks()
        pass_over(prepare, wanted)
        gc.collect()
        if sys.getallocatedblocks() <= before:
            return False
    return True


def operations(group: str) -> dict[str, Callable[[], Case]]:
    """The operations of a group that do not crash CPython itself."""
    crashing = CRASHES_OF_CPYTHON if sys.version_info >= (3, 12) else set()
    return {name: prepare for name, prepare in GROUPS[group].items() if name not in crashing}


def called(function: object) -> Iterator[FunctionType]:
    """Yield a function, and those of the tests that it refers to by name, at any depth."""
    found, left = set[FunctionType](), [function]
    while left:
        each = left.pop()
        if not isinstance(each, FunctionType) or each in found:
            continue
        if not each.__module__.startswith("tests."):
            continue
        found.add(each)
        yield each
        left += [cell.cell_contents for cell in each.__closure__ or ()]
        left += [
            each.__globals__.get(instruction.argval)
            for instruction in dis.get_instructions(each)
            if instruction.opname.startswith("LOAD_GLOBAL")
        ]


def operations_that_create_functions() -> list[str]:
    """Return the operations that create functions or generator expressions."""
    table.set_up()
    return [
        f"{name}, by {constant.co_qualname}"
        for name, prepare in itertools.chain(*(cases.items() for cases in GROUPS.values()))
        for function in called(in_a_copy(prepare).run)
        for constant in function.__code__.co_consts
        # Comprehensions are functions only in 3.11.
        if isinstance(constant, CodeType) and not constant.co_name.endswith("comp>")
    ]


def failures_of_first_calls(group: str) -> list[str]:
    """Return what is wrong if the first call of an operation fails, each in its own process."""
    found = []
    table.set_up()
    for (name, prepare), n in itertools.product(operations(group).items(), range(4)):
        child = os.fork()
        if child == 0:
            outcome = Outcome(prepare(), n)
            os._exit(outcome.error is not None and not outcome.is_failed)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != 0:
            found.append(f"{name}, allocation {n}: exit status {status}")
    return found


def failures(group: str) -> dict[str, list[str]]:
    """Return what is wrong with the operations of a group; print each name before it runs."""
    table.set_up()
    gc.collect()
    gc.freeze()
    # What a finaliser raises is of no interest. This hook, which ignores it, allocates nothing.
    sys.unraisablehook = type
    # Only 3.11 collects in the middle of an allocation. What that runs is not the operation.
    gc.disable()
    found: dict[str, list[str]] = {}
    for name, prepare in operations(group).items():
        print(name, file=sys.stderr, flush=True)
        for _ in range(20):  # Imports, caches and specialised instructions.
            wanted = Expected.of(prepare)
        wrong = pass_over(prepare, wanted)
        if not wrong and name not in LEAKS_OF_CPYTHON and is_leaking(prepare, wanted):
            wrong = ["each pass leaves blocks behind"]
        if wrong:
            found[name] = wrong
    return found
