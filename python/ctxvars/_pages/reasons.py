"""Sentences that explain the steps of class creation, and the methods that the steps call."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from ctxvars.classes import ClassTrace, Step
from ctxvars.classes._recorder import found_in_class, is_class
from ctxvars.classes._tree import arguments_of
from ctxvars.classes._words import words

STORED = {
    "__module__": "Each body begins with this assignment: the name of the module.",
    "__qualname__": "The compiler adds this assignment: the name, with the places that contain the"
    " statement.",
    "__firstlineno__": "The compiler adds this assignment: the first line of the statement.",
    "__static_attributes__": "The compiler adds this assignment: the attributes that methods assign"
    " by self.NAME = ...",
    "__doc__": "The docstring is stored like a variable.",
    "__annotations__": "The annotations of the body.",
    "__annotate__": "A function that evaluates the annotations when they are needed.",
    "__annotate_func__": "A function that evaluates the annotations when they are needed.",
    "__type_params__": "The type parameters of the statement.",
    "__classcell__": "The cell from which methods read __class__. type.__new__ will store the"
    " class in it.",
    "__classdictcell__": "A cell with the namespace, for annotations and type parameters.",
    "__orig_bases__": "The bases as they are written, because __mro_entries__ has replaced one.",
}
"""Reasons of stores that the compiler or `__build_class__` adds."""


def reason(step: Step | ClassTrace, trace: ClassTrace) -> str:
    """Return one or two sentences about a step."""
    if isinstance(step, ClassTrace):
        return "Another class statement runs before this class is created."
    match step.kind:
        case "bases":
            return of_bases(step, trace)
        case "metaclass":
            return of_metaclass(step, trace)
        case "namespace":
            return of_namespace(trace)
        case "store":
            return of_store(step)
        case "delete":
            return "The body deletes the name from the namespace."
        case "body":
            if step.value is None:
                return "The body has run. No method refers to __class__, so it returns None."
            return (
                "The body has run. It returns the cell of __class__, because a method refers to it."
            )
        case "call":
            return of_call(step, trace)
        case "set_name":
            called = (
                "type.__new__ calls __set_name__ of each attribute that has it, with the class and"
            )
            return f"{called} the name. {of_derived(step)}".rstrip()
        case "init_subclass":
            called = (
                "type.__new__ calls __init_subclass__ of the parent, with the arguments that are"
            )
            return f"{called} left. {of_derived(step)}".rstrip()
        case "class":
            made = "The metaclass has returned the class. Decorators are called with it, and the"
            return f"{made} result is stored as {trace.name}."
        case _:
            return "The exception ends the creation."


def of_bases(step: Step, trace: ClassTrace) -> str:
    replaced = [base for base in trace.bases if not any(base is each for each in step.value)]
    if replaced:
        names = ", ".join(map(words, replaced))
        return f"The method __mro_entries__ names other bases in place of {names}."
    return (
        "The bases are classes, and are taken as they are."
        if step.value
        else ("Without bases, the class inherits from object.")
    )


def of_metaclass(step: Step, trace: ClassTrace) -> str:
    argument = trace.keywords.get("metaclass")
    if not is_class(step.value):
        return "The argument metaclass= is not a class, and is called as it is."
    if argument is step.value:
        return "The argument metaclass= gives it."
    if argument is not None:
        return "The type of a base is more derived than the argument metaclass=."
    if trace.bases:
        return "The most derived one among the types of the bases."
    return "Without bases and without the argument metaclass=, it is type."


def of_namespace(trace: ClassTrace) -> str:
    metaclass = metaclass_of(trace)
    if not is_class(metaclass):
        return (
            "The result of __prepare__ of the metaclass, or a new dict if there is no such method."
        )
    owner = next((it for it in metaclass.__mro__ if "__prepare__" in vars(it)), None)
    arguments = arguments_of((trace.name, resolved_bases(trace)), options_of(trace))
    return (
        f"{words(owner)}.__prepare__({arguments}) has returned it. The body will store names in it."
    )


def of_store(step: Step) -> str:
    if step.name in STORED:
        return STORED[step.name]
    text = "The body stores the value in the namespace. The class does not exist yet."
    if found_in_class(type(step.value).__mro__, "__set_name__"):
        text += " The value has a method __set_name__, which will be called."
    return text


def of_call(step: Step, trace: ClassTrace) -> str:
    arguments = ", ".join(
        it
        for it in (f"{trace.name!r}, bases, namespace", arguments_of((), options_of(trace)))
        if it
    )
    call = f"{words(metaclass_of(trace))}({arguments})"
    return f"{call} creates the class. type.__new__ copies the namespace, and then calls hooks."


def of_derived(step: Step) -> str:
    return (
        "It is written in C: the call follows from the rules, and is not recorded." * step.derived
    )


def calls(step: Step | ClassTrace, trace: ClassTrace, filename: str) -> Iterator[tuple[str, int]]:
    """Yield the methods in this file that a step calls, with their first lines."""
    for function in functions(step, trace):
        # By exact types: the attributes of other objects may be anything.
        if type(function) in (classmethod, staticmethod):
            function = function.__func__
        code = function.__code__ if type(function) is FunctionType else function
        if type(code) is CodeType and code.co_filename == filename:
            yield code.co_qualname, code.co_firstlineno


def functions(step: Step | ClassTrace, trace: ClassTrace) -> Iterator[Any]:
    if isinstance(step, ClassTrace):
        return
    metaclass = metaclass_of(trace)
    mro = metaclass.__mro__ if is_class(metaclass) else ()
    match step.kind:
        case "bases":
            yield from (found_in_class(type(it).__mro__, "__mro_entries__") for it in trace.bases)
        case "namespace":
            yield found_in_class(mro, "__prepare__")
        case "call" if not is_class(metaclass):
            yield metaclass
        case "call":
            yield found_in_class(mro, "__new__")
            yield found_in_class(mro, "__init__")
        case "set_name" | "init_subclass":
            yield step.code


def metaclass_of(trace: ClassTrace) -> Any:
    return next((step.value for step in trace.own("metaclass")), None)


def resolved_bases(trace: ClassTrace) -> Any:
    return next(trace.own("bases")).value


def options_of(trace: ClassTrace) -> dict[str, Any]:
    """Return the keyword arguments that the metaclass gets."""
    return {name: value for name, value in trace.keywords.items() if name != "metaclass"}
