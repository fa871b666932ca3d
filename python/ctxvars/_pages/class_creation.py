"""The page of `python -m ctxvars explain-class`: the steps of class creation, one at a time.

The numbers of steps, instructions, lines and characters are bounded, so that a browser can show the
page. The page says what is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ctxvars._pages.colours import Part, coloured
from ctxvars._pages.document import document
from ctxvars._pages.escape import shortened
from ctxvars._pages.reasons import calls, reason
from ctxvars.classes import ClassTrace
from ctxvars.classes._instructions import Instructions
from ctxvars.classes._tree import head_of, text_of
from ctxvars.classes._words import name_words, words

FIRST_STEPS, LAST_STEPS = 3000, 1000
"""The steps of a class that are shown, if there are more."""
MOST_STEPS = 20_000
"""The steps of all classes. Classes after that are left out."""
MOST_NAMES = 1000
"""The names that change in a step."""
MOST_LINES = MOST_INSTRUCTIONS = 20_000
LONGEST = 300
"""The characters of a text."""
LONGEST_LINE = 2000
"""The characters of a line of source."""

DELETED = object()
"""The value of a name that a step deletes."""

Json = dict[str, Any]


def class_page(
    file: str, source: str, classes: list[ClassTrace], *, bytecode: bool = True, error: str = ""
) -> str:
    """Return the page.

    Args:
        file: the name of the file, for the title.
        source: its text.
        classes: the traces. The classes that were created meanwhile are shown, too.
        bytecode: whether to show the bytecode of the bodies.
        error: the exception that the file raised.
    """
    data = page_data(file, source, classes, bytecode=bytecode, error=error)
    return document(f"Class creation: {file}", "class_creation", data)


def page_data(
    file: str, source: str, classes: list[ClassTrace], *, bytecode: bool = True, error: str = ""
) -> Json:
    every = [each for outer in classes for each in outer.nested()]
    shown: list[ClassTrace] = []
    room = MOST_STEPS
    for each in every:
        room -= min(len(each.steps), FIRST_STEPS + LAST_STEPS)
        if shown and room < 0:
            break
        shown.append(each)
    numbers = {id(each): number for number, each in enumerate(shown)}
    parents = {
        id(step): number
        for number, outer in enumerate(shown)
        for step in outer.steps
        if isinstance(step, ClassTrace)
    }
    lines = coloured(source.removesuffix("\n"))
    notices = [f"The file raised {shortened(error, LONGEST)}."] if error else []
    if len(shown) < len(every):
        rest = every[len(shown)]
        notices.append(
            f"{len(every) - len(shown):,} of {len(every):,} classes are left out, from"
            f" {shortened(rest.qualname, LONGEST)} in line {rest.body.__code__.co_firstlineno} on."
            " Choose one of them by FILE:NAME."
        )
    if len(lines) > MOST_LINES:
        notices.append(f"The source is shown up to line {MOST_LINES}.")
    return {
        "file": shortened(file, LONGEST),
        "lines": [list(cut_line(line)) for line in lines[:MOST_LINES]],
        "notices": notices,
        "bytecode": bytecode,
        "classes": [class_data(each, numbers, parents.get(id(each)), bytecode) for each in shown],
    }


def cut_line(line: list[Part]) -> Iterator[Part]:
    room = LONGEST_LINE
    for kind, text in line:
        if len(text) > room:
            yield kind, text[:room] + "..."
            return
        room -= len(text)
        yield kind, text


def class_data(
    trace: ClassTrace, numbers: dict[int, int], parent: int | None, bytecode: bool
) -> Json:
    """Return the data of one class; the numbers are those of other classes in the page."""
    code = trace.body.__code__
    instructions = Instructions(code)
    steps = list(all_steps(trace, instructions, numbers))
    notices = []
    if len(steps) > FIRST_STEPS + LAST_STEPS:
        left_out = len(steps) - FIRST_STEPS - LAST_STEPS
        steps[FIRST_STEPS:-LAST_STEPS] = [gap(steps[FIRST_STEPS:-LAST_STEPS])]
        notices.append(f"{left_out:,} steps of this class are left out.")
    rows = []
    if bytecode:
        rows = [
            (
                f"L{label}" if (label := getattr(it, "label", None)) else str(it.offset),
                (it.positions.lineno if it.positions else None) or 0,
                shortened(text, LONGEST),
            )
            for it, text in islice(
                zip(instructions.all, instructions.words, strict=True), MOST_INSTRUCTIONS
            )
        ]
        if len(instructions.all) > MOST_INSTRUCTIONS:
            notices.append(
                f"{len(instructions.all) - MOST_INSTRUCTIONS:,} instructions are left out."
            )
    return {
        "name": shortened(trace.qualname, LONGEST),
        "head": shortened(head_of(trace), LONGEST),
        "line": code.co_firstlineno,
        "parent": parent,
        "instructions": rows,
        "steps": [finished(step) for step in steps],
        "notices": notices,
    }


def all_steps(
    trace: ClassTrace, instructions: Instructions, numbers: dict[int, int]
) -> Iterator[Json]:
    """Yield the steps, with texts that are not made yet: those of most steps may be left out."""
    first = trace.body.__code__.co_firstlineno
    phase = "Before the body"
    for step in trace.steps:
        if isinstance(step, ClassTrace):
            line = step.body.__code__.co_firstlineno
            child = numbers.get(id(step))
            yield {"phase": phase, "step": step, "trace": trace, "line": line, "child": child}
            continue
        found: Json = {"phase": phase, "step": step, "trace": trace, "line": step.line or first}
        match step.kind:
            case "namespace":
                phase = "Body"
                found["changes"] = [(name_words(name), value) for name, value in trace.given]
            case "store":
                found["changes"] = ((step.name, step.value),)
            case "delete":
                found["changes"] = ((step.name, DELETED),)
            case "body":
                span = instructions.rest()
                found["span"] = (span.start, span.stop)
            case "call":
                found["phase"] = phase = "Call of the metaclass"
            case "class":
                found["phase"] = "Result"
            case "error":
                found.update(place_of_error(step.value, trace, instructions))
        if step.offset is not None:
            span = instructions.up_to(step.offset)
            found["span"] = (span.start, span.stop)
        yield found


def place_of_error(error: BaseException, trace: ClassTrace, instructions: Instructions) -> Json:
    """Return the line and the instruction of the body that raised an exception, if the body did."""
    code = trace.body.__code__
    where = error.__traceback__
    while where and where.tb_frame.f_code is not code:
        where = where.tb_next
    if where is None:
        return {}
    span = instructions.up_to(where.tb_lasti)
    return {"line": where.tb_lineno, "span": (span.start, span.stop)}


def gap(steps: list[Json]) -> Json:
    """Return one step in place of many, with their changes of the namespace."""
    changes: dict[str, Any] = {}
    for step in steps:
        for name, value in step.get("changes", ()):
            # The last change of a name counts, and decides its place.
            changes.pop(name, None)
            changes[name] = value
    return {
        "phase": steps[0]["phase"],
        "line": steps[-1]["line"],
        "left_out": len(steps),
        "changes": tuple(changes.items()),
    }


def finished(step: Json) -> Json:
    """Return a step as the script of the page reads it."""
    changes = step.get("changes", ())
    dropped = max(0, len(changes) - MOST_NAMES)
    data: Json = {
        "phase": step["phase"],
        "line": step["line"],
        "span": step.get("span"),
        "child": step.get("child"),
        "changes": [
            (shortened(name, LONGEST), value_words(value)) for name, value in changes[dropped:]
        ],
        "calls": [],
    }
    if "left_out" in step:
        data["text"] = f"{step['left_out']:,} steps are left out"
        data["reason"] = "The namespace below has their results."
    else:
        it, trace = step["step"], step["trace"]
        text = head_of(it) if isinstance(it, ClassTrace) else text_of(it, trace)
        data["text"] = shortened(text, LONGEST)
        data["reason"] = shortened(reason(it, trace), 3 * LONGEST)
        data["calls"] = [
            (shortened(name, LONGEST), line)
            for name, line in calls(it, trace, trace.body.__code__.co_filename)
        ]
    if dropped:
        data["reason"] += f" {dropped:,} names are left out."
    return data


def value_words(value: object) -> str | None:
    return None if value is DELETED else shortened(words(value), LONGEST)
