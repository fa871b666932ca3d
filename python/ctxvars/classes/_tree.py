"""The trace of a class as a tree of text, with the bytecode of the body in a second column."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from reprlib import Repr
from types import CellType, CodeType, FunctionType
from typing import Any

from ctxvars.classes._trace import ClassTrace, Step

# The width of the first column at most; longer lines move the second column to the right.
WIDEST = 64


@dataclass
class Node:
    """A line of the tree, with the lines beside it and the nodes below."""

    text: str
    beside: list[str] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)

    def rows(self, head: str = "", rest: str = "") -> Iterator[tuple[str, str]]:
        """Yield the columns of each row: `head` precedes the first row, `rest` all others."""
        first, *others = self.beside or [""]
        yield head + self.text, first
        yield from ((f"{rest}│" if self.below else rest, other) for other in others)
        for node in self.below:
            if node is self.below[-1]:
                yield from node.rows(f"{rest}└─ ", f"{rest}   ")
            else:
                yield from node.rows(f"{rest}├─ ", f"{rest}│  ")


def tree(trace: ClassTrace, *, bytecode: bool) -> str:
    rows = list(node_of(trace, bytecode).rows())
    width = max((min(len(left), WIDEST) for left, right in rows if right), default=0)
    return "\n".join(f"{left:{width}}  {right}".rstrip() for left, right in rows)


def node_of(trace: ClassTrace, bytecode: bool) -> Node:
    arguments = [words(base) for base in trace.bases]
    arguments += [f"{name}={words(value)}" for name, value in trace.keywords.items()]
    where = f"line {trace.body.__code__.co_firstlineno}"
    root = Node(f"class {trace.name}({', '.join(arguments)}), {where}")
    instructions = Instructions(trace.body.__code__) if bytecode else None
    # Steps of the body are shown below "body", those of the metaclass below its call.
    place = root
    for step in trace.steps:
        if isinstance(step, ClassTrace):
            place.below.append(node_of(step, bytecode))
            continue
        node = Node(text_of(step, trace))
        match step.kind:
            case "namespace":
                place = Node("body")
                root.below += [node, place]
            case "store" | "delete":
                if instructions and step.offset is not None:
                    node.beside = instructions.up_to(step.offset)
                place.below.append(node)
            case "body":
                if instructions:
                    node.beside = instructions.rest()
                place.below.append(node)
                place = root
            case "call":
                place = node
                root.below.append(node)
            case "class":
                root.below.append(node)
            case _:
                place.below.append(node)
    return root


def text_of(step: Step, trace: ClassTrace) -> str:
    line = f"line {step.line}: " if step.line else ""
    derived = ", by the rule" if step.derived else ""
    match step.kind:
        case "bases":
            return f"bases: {', '.join(map(words, step.value)) or 'none'}"
        case "metaclass":
            return f"metaclass: {words(step.value)}"
        case "namespace":
            names = f" with {step.name}" if step.name else ""
            return f"namespace: {type(step.value).__qualname__}{names}"
        case "store":
            return f"{line}{step.name} = {words(step.value)}"
        case "delete":
            return f"{line}del {step.name}"
        case "body":
            return f"returns {words(step.value)}"
        case "call":
            metaclass = next(trace.own("metaclass")).value
            return f"call of {words(metaclass)}"
        case "set_name":
            return f"{words(step.value)}.__set_name__(..., {step.name!r}){derived}"
        case "init_subclass":
            keywords = ", ".join(f"{name}={words(value)}" for name, value in step.value.items())
            return f"{step.name}({keywords}){derived}"
        case "class":
            return f"class: {words(step.value)}"
        case _:
            return f"raised {type(step.value).__name__}: {step.value}"


class Instructions:
    """The instructions of a code object, each shown once, unless a loop repeats it."""

    def __init__(self, code: CodeType) -> None:
        self.all = [(it.offset, instruction_words(it)) for it in dis.get_instructions(code)]
        self.shown = 0

    def up_to(self, offset: int) -> list[str]:
        """Return the instructions up to this one that were not shown yet.

        In a loop, an instruction that was shown before is shown again.
        """
        end = next(place for place, (it, _) in enumerate(self.all, 1) if it == offset)
        start, self.shown = min(self.shown, end - 1), max(self.shown, end)
        return [text for _, text in self.all[start:end]]

    def rest(self) -> list[str]:
        start, self.shown = self.shown, len(self.all)
        return [text for _, text in self.all[start:]]


def instruction_words(instruction: dis.Instruction) -> str:
    argument = re.sub(r"<code object (\S+) at .*>", r"<code \1>", instruction.argrepr)
    return f"{instruction.opname} {argument}".strip()


class Words(Repr):
    """Short representations, without addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = self.maxstring = 40

    def repr1(self, x: Any, level: int) -> str:
        match x:
            case type():
                return x.__qualname__
            case FunctionType():
                return f"function {x.__qualname__}"
            case CellType():
                return "cell"
        return super().repr1(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            text = repr(x)
        except Exception:
            text = object.__repr__(x)
        text = re.sub(r" at 0x[0-9a-f]+", "", text)
        return text if len(text) <= self.maxother else f"{text[: self.maxother - 3]}..."


words = Words().repr
