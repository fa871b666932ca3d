"""The trace of a class as a tree of text, with the bytecode of the body in a second column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ctxvars.classes._instructions import Instructions
from ctxvars.classes._trace import ClassTrace, Step
from ctxvars.classes._words import error_words, words

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
    root = Node(f"{head_of(trace)}, line {trace.body.__code__.co_firstlineno}")
    instructions = Instructions(trace.body.__code__) if bytecode else None
    # Steps of the body are shown below "body", those of the metaclass below its call.
    place = root
    for step in trace.steps:
        if isinstance(step, ClassTrace):
            place.below.append(node_of(step, bytecode))
            continue
        where = f"line {step.line}: " if step.line else ""
        derived = ", by the rule" if step.derived else ""
        node = Node(f"{where}{text_of(step, trace)}{derived}")
        match step.kind:
            case "namespace":
                place = Node("body")
                root.below += [node, place]
            case "store" | "delete":
                if instructions and step.offset is not None:
                    node.beside = instructions.words[instructions.up_to(step.offset)]
                place.below.append(node)
            case "body":
                if instructions:
                    node.beside = instructions.words[instructions.rest()]
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


def head_of(trace: ClassTrace) -> str:
    """Return the head of a class statement."""
    return f"class {trace.name}({arguments_of(trace.bases, trace.keywords)})"


def arguments_of(positional: Iterable[object], keywords: dict[str, object]) -> str:
    parts = [words(value) for value in positional]
    parts += [f"{name}={words(value)}" for name, value in keywords.items()]
    return ", ".join(parts)


def text_of(step: Step, trace: ClassTrace) -> str:
    """Return a step in one line."""
    match step.kind:
        case "bases":
            return f"bases: {', '.join(map(words, step.value)) or 'none'}"
        case "metaclass":
            return f"metaclass: {words(step.value)}"
        case "namespace":
            names = f" with {step.name}" if step.name else ""
            return f"namespace: {type(step.value).__qualname__}{names}"
        case "store":
            return f"{step.name} = {words(step.value)}"
        case "delete":
            return f"del {step.name}"
        case "body":
            return f"returns {words(step.value)}"
        case "call":
            metaclass = next(trace.own("metaclass")).value
            return f"call of {words(metaclass)}"
        case "set_name":
            return f"{words(step.value)}.__set_name__(..., {step.name!r})"
        case "init_subclass":
            return f"{step.name}({arguments_of((), step.value)})"
        case "class":
            return f"class: {words(step.value)}"
        case _:
            return f"raised {error_words(step.value)}"
