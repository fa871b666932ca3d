"""The public API as a table of operations, for tests that let each allocation fail in turn.

This file has the operations on contexts; `frames`, `isolation` and `maps` have the others.

Each entry makes fresh objects and returns a `Case`. Values are numbers and texts, so that the
states and results of two cases of one entry can be compared.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass

import ctxvars
from ctxvars import ContextVar, Map, _core


@dataclass
class Case:
    """One operation on fresh objects.

    `run` creates neither functions nor generator expressions. If CPython 3.12 or 3.13 has no memory
    for one, it drops a reference to the code object that it does not own. After a few failures, the
    code object is freed while it is in use.

    `is_repeatable` is false if the operation runs code of the caller, which may run out of memory,
    too. A generator that raised has ended, and another try cannot resume it.

    `raises` is true if an exception passes through Python code even with enough memory. CPython
    may then need memory for the traceback, and lose the exception: "returned NULL without setting
    an exception".
    """

    run: Callable[[], object]
    state: Callable[[], object]
    is_repeatable: bool = True
    raises: bool = False


Prepare = Callable[[], Case]
GROUPS: dict[str, dict[str, Prepare]] = {}


def native_variable() -> contextvars.ContextVar[object]:
    """A variable of the standard library, in another slot of a native context than our root.

    In one slot, both share an inner node, and CPython leaks such a node when it runs out of memory.
    """

    def slot(variable: contextvars.ContextVar[object]) -> int:
        return (hash(variable) ^ (hash(variable) >> 32)) % 32

    def with_root() -> contextvars.Context:
        ContextVar("some").set(1)
        return contextvars.copy_context()

    (root,) = contextvars.Context().run(with_root)
    while slot(variable := contextvars.ContextVar[object]("native")) == slot(root):
        OTHERS.append(variable)
    return variable


OTHERS: list[contextvars.ContextVar[object]] = []
# Enough variables that the bindings have a branch.
VARIABLES = [ContextVar[object](f"v{number}") for number in range(40)]
FIRST, SECOND, THIRD, *_, UNSET = VARIABLES
NATIVE = native_variable()
WITH_DEFAULT = ContextVar[object]("with default", default="default")
WITH_FACTORY = ContextVar[object]("with factory", default_factory=lambda: "made")


def set_up() -> None:
    """Set the variables that each case expects in the current context."""
    for variable in VARIABLES[:-1]:
        variable.set(variable.name)
    NATIVE.set("native")


def bindings() -> dict[str, object]:
    """All variables of the current context."""
    ours = {variable.name: value for variable, value in ctxvars.copy_context().items()}
    return ours | {"native": NATIVE.get(None)}


def operation(group: str) -> Callable[[Prepare], Prepare]:
    def enter(prepare: Prepare) -> Prepare:
        GROUPS.setdefault(group, {})[prepare.__name__] = prepare
        return prepare

    return enter


def add(group: str, name: str, prepare: Prepare) -> None:
    GROUPS.setdefault(group, {})[name] = prepare


def plain(value: object) -> object:
    """Convert a result to a form that compares by content."""
    match value:
        case ctxvars.MapDiff():
            return [plain(part) for part in (value.added, value.removed, value.changed)]
        case ctxvars.Context():
            return {variable.name: plain(found) for variable, found in value.items()}
        case ctxvars.Token():
            return value.var.name, plain(value.old_value)
        case ctxvars.Changes():
            return plain(value.to_diff())
        case Map() | ctxvars.MapMutation() | dict():
            return {plain(key): plain(found) for key, found in value.items()}
        case ContextVar():
            return value.name
        case list() | tuple():
            return [plain(item) for item in value]
        case int() | str() | bytes() | set() | None:
            return value
        case _:
            return type(value).__name__


# Context variables


def on_variables(name: str, run: Callable[[], object]) -> None:
    add("variables", name, lambda: Case(run, bindings))


on_variables("get", FIRST.get)
on_variables("get an argument", lambda: UNSET.get(1))
on_variables("get a default", WITH_DEFAULT.get)
on_variables("get what a factory makes", WITH_FACTORY.get)
on_variables("is_set", lambda: (FIRST.is_set(), UNSET.is_set()))
on_variables("set", lambda: FIRST.set(1))
on_variables("set a new one", lambda: UNSET.set(1))
on_variables("delete", FIRST.delete)
on_variables("repr", lambda: repr(FIRST)[:20])
on_variables("new", lambda: ContextVar("new").name)
on_variables("new with default", lambda: ContextVar("new", default=1).get())
on_variables("new with factory", lambda: ContextVar("new", default_factory=list).get())
on_variables("scope of one", lambda: FIRST.scope(1, strict=True))
on_variables("scope of a dict", lambda: ctxvars.scope({FIRST: 1, UNSET: 2}))
on_variables("scope of pairs", lambda: ctxvars.scope([(FIRST, 1), (UNSET, 2)]))
on_variables("scope of a map", lambda: ctxvars.scope(Map({FIRST: 1, UNSET: 2})))
on_variables("VariableDescriptor", lambda: _core.VariableDescriptor(FIRST, LookupError).variable)


def on_owned_bindings(name: str, run: Callable[[], object]) -> None:
    """An operation in a context that shares its bindings with no copy: they are edited in place."""

    def prepare() -> Case:
        FIRST.set("owned")
        SECOND.set("owned")
        return Case(run, bindings)

    add("in place", name, prepare)


def set_others(number: int) -> None:
    """Set other native variables, so that the native context has more nodes."""
    while len(OTHERS) < number:
        OTHERS.append(contextvars.ContextVar[object]("other"))
    for other in OTHERS[:number]:
        other.set("other")


def on_long_paths(name: str, run: Callable[[], object]) -> None:
    """An operation in a context whose nodes a copy shares."""
    for number in (1, 40, 400):

        def prepare(number: int = number) -> Case:
            set_others(number)
            FIRST.set("owned")
            copy = contextvars.copy_context()
            return Case(run, lambda: (bindings(), FIRST in ctxvars.Context.wrap(copy)))

        add("in place", f"{name} beside {number} native variables", prepare)


def set_and_reset() -> None:
    FIRST.reset(FIRST.set(1))


def set_in_copies() -> None:
    """The native contexts of the first copies are used for the next ones."""
    for _ in (1, 2, 3):
        ctxvars.copy_context().run(FIRST.set, 1)


on_owned_bindings("set", lambda: FIRST.set(1))
on_owned_bindings("set a new one", lambda: UNSET.set(1))
on_owned_bindings("delete", FIRST.delete)
on_owned_bindings("set and reset", set_and_reset)
on_owned_bindings("get all", lambda: [variable.get(None) for variable in VARIABLES])
on_owned_bindings("set in copies", set_in_copies)
on_owned_bindings("set in a native copy", lambda: contextvars.copy_context().run(FIRST.set, 1))
on_long_paths("set", lambda: FIRST.set(1))
on_long_paths("set a new one", lambda: UNSET.set(1))
on_long_paths("delete", FIRST.delete)


@operation("variables")
def lookup_error() -> Case:
    def run() -> object:
        try:
            return UNSET.get()
        except LookupError:
            return "raised"

    return Case(run, bindings)


def undoing(
    name: str,
    change: Callable[[], ctxvars.Token[object]],
    undo: Callable[[ctxvars.Token[object]], object],
) -> None:
    """Undo a change at once, and after another variable was changed, too."""

    def at_once() -> Case:
        token = change()
        return Case(lambda: undo(token), bindings)

    def later() -> Case:
        token = change()
        THIRD.set("later")
        return Case(lambda: undo(token), bindings)

    def elsewhere() -> Case:
        token = change()
        other = ctxvars.copy_context()

        def run() -> object:
            try:
                return other.run(undo, token)
            except ValueError:
                return "refused"

        state = lambda: (bindings(), plain(other), "used" in repr(token))  # noqa: E731
        return Case(run, state, raises=True)

    add("tokens", f"{name} at once", at_once)
    add("tokens", f"{name} later", later)
    add("tokens", f"{name} elsewhere", elsewhere)


undoing("reset a set", lambda: FIRST.set(1), FIRST.reset)
undoing("reset a first set", lambda: UNSET.set(1), UNSET.reset)
undoing("reset a delete", FIRST.delete, FIRST.reset)
undoing("exit", lambda: FIRST.set(1), lambda token: token.__exit__(None, None, None))


def reset_the_only_variable() -> Case:
    """Reset to bindings that are empty."""
    context = ctxvars.Context()
    token = context.run(FIRST.set, 1)
    return Case(lambda: context.run(FIRST.reset, token), lambda: plain(context))


def reset_one_of_two() -> Case:
    context = ctxvars.Context()
    token = context.run(FIRST.set, 1)
    context.run(SECOND.set, 2)
    return Case(lambda: context.run(FIRST.reset, token), lambda: plain(context))


def set_the_only_variable() -> Case:
    context = ctxvars.Context()
    return Case(lambda: context.run(FIRST.set, 1), lambda: plain(context))


def token_attributes() -> Case:
    token = FIRST.set(1)
    return Case(lambda: (repr(token)[:10], token.var, token.old_value), bindings)


for prepare in (
    reset_the_only_variable,
    reset_one_of_two,
    set_the_only_variable,
    token_attributes,
):
    operation("tokens")(prepare)


# Scopes


def leave(scope: ctxvars.Scope) -> None:
    scope.__exit__(None, None, None)


def scope_case(scope: ctxvars.Scope, run: Callable[[], object]) -> Case:
    return Case(run, lambda: (bindings(), "entered" in repr(scope)))


SCOPES: dict[str, Callable[[], ctxvars.Scope]] = {
    "one": lambda: FIRST.scope(1),
    "an unset one": lambda: UNSET.scope(1),
    "two": lambda: ctxvars.scope({FIRST: 1, UNSET: 2}),
}


def on_scopes(what: str, make: Callable[[], ctxvars.Scope]) -> None:
    def enter() -> Case:
        scope = make()
        return scope_case(scope, lambda: type(scope.__enter__()))

    def exit_at_once() -> Case:
        scope = make()
        scope.__enter__()
        return scope_case(scope, lambda: leave(scope))

    def exit_later() -> Case:
        scope = make()
        scope.__enter__()
        THIRD.set("later")
        return scope_case(scope, lambda: leave(scope))

    def exit_in_copy() -> Case:
        scope = make()
        scope.__enter__()
        copied = ctxvars.copy_context()
        case = scope_case(scope, lambda: copied.run(leave, scope))
        return Case(case.run, lambda: (case.state(), plain(copied)))

    def enter_again() -> Case:
        scope = make()
        with scope:
            pass
        return scope_case(scope, lambda: type(scope.__enter__()))

    for prepare in (enter, exit_at_once, exit_later, exit_in_copy, enter_again):
        add("scopes", f"{prepare.__name__} {what}", prepare)


for what, make in SCOPES.items():
    on_scopes(what, make)


@operation("scopes")
def enter_in_an_empty_context() -> Case:
    context, scope = ctxvars.Context(), FIRST.scope(1)
    case = scope_case(scope, lambda: type(context.run(scope.__enter__)))
    return Case(case.run, lambda: (case.state(), plain(context)))


@operation("scopes")
def repr_of_a_scope() -> Case:
    scope = ctxvars.scope({FIRST: 1, UNSET: 2})
    return scope_case(scope, lambda: repr(scope)[:12])


# Groups


def accept(value: object) -> None:
    """Accept any value of a field."""


class Settings(ctxvars.Group):
    precision: int = 28
    locale: str
    digits: int = ctxvars.group_field(default=6, validate=accept)


@operation("groups")
def group_instance() -> Case:
    return Case(lambda: Settings(precision=6).__reduce__()[1], bindings)


@operation("groups")
def group_instance_without_values() -> Case:
    return Case(lambda: Settings().__reduce__()[1], bindings)


@operation("groups")
def group_instance_of_validated_values() -> Case:
    return Case(lambda: Settings(locale="de", digits=3).__reduce__()[1], bindings)


@operation("groups")
def group_instance_made_again() -> Case:
    settings = Settings(precision=6)
    values = {"precision": 7, "locale": "de"}

    def run() -> object:
        settings.__init__(**values)  # type: ignore[misc, arg-type]
        return settings.__reduce__()[1]

    return Case(run, bindings)


class Named(Settings):
    """A group whose repr makes no generator expression: see `Case`."""

    def __repr__(self) -> str:
        return "Named"


@operation("groups")
def group_entered_twice() -> Case:
    settings = Named(precision=6)
    settings.__enter__()

    def run() -> object:
        try:
            return settings.__enter__()
        except RuntimeError as error:
            return str(error)

    return Case(run, bindings, raises=True)


@operation("groups")
def group_enter() -> Case:
    settings = Settings(precision=6, locale="de")
    return Case(lambda: type(settings.__enter__()), bindings)


@operation("groups")
def group_exit() -> Case:
    settings = Settings(precision=6, locale="de")
    settings.__enter__()
    return Case(lambda: settings.__exit__(None, None, None), bindings)


@operation("groups")
def group_set() -> Case:
    return Case(lambda: setattr(Settings, "precision", 6), bindings)


@operation("groups")
def group_delete() -> Case:
    Settings.precision = 6
    return Case(lambda: delattr(Settings, "precision"), bindings)


@operation("groups")
def group_read() -> Case:
    Settings.locale = "de"
    return Case(lambda: (Settings.precision, Settings.locale, Settings.as_dict()), bindings)


@operation("groups")
def group_snapshot() -> Case:
    Settings.locale = "de"
    return Case(lambda: Settings.snapshot().__reduce__()[1], bindings)


# Contexts


def on_contexts(name: str, run: Callable[[ctxvars.Context, ctxvars.Context], object]) -> None:
    """An operation on a context, and a copy of it with a change."""

    def prepare() -> Case:
        context = ctxvars.copy_context()
        other = context.copy()
        other.run(FIRST.set, 1)
        return Case(lambda: run(context, other), lambda: (bindings(), plain(context), plain(other)))

    add("contexts", name, prepare)


on_contexts("copy_context", lambda *_: ctxvars.copy_context())
on_contexts("new", lambda *_: ctxvars.Context())
on_contexts("copy", lambda context, _: context.copy())
on_contexts("wrap", lambda context, _: ctxvars.Context.wrap(context.native))
on_contexts("run", lambda context, _: context.run(FIRST.get))
on_contexts("run set", lambda context, _: context.run(FIRST.set, 1))
on_contexts("subscript", lambda context, _: (context[FIRST], FIRST in context, len(context)))
on_contexts("get", lambda context, _: (context.get(FIRST), context.get(UNSET, 1)))
on_contexts("keys", lambda context, _: list(context.keys()))
on_contexts("values", lambda context, _: list(context.values()))
on_contexts("items", lambda context, _: list(context.items()))
on_contexts("iterate", lambda context, _: list(context))
on_contexts("==", lambda context, other: (context == other, context == context.copy()))
on_contexts("bindings", lambda context, _: context.bindings)
on_contexts("diff", lambda context, other: context.diff(other))


@operation("contexts")
def run_where_it_is_entered() -> Case:
    context = ctxvars.copy_context()

    def inside() -> object:
        return context.run(int)

    def run() -> object:
        try:
            return context.run(inside)
        except RuntimeError:
            return "refused"

    def state() -> object:
        return bindings(), plain(context), context.run(int)

    return Case(run, state, raises=True)


# Snapshots and changes


def resolve(variable: object, base: object, ours: object, theirs: object) -> object:
    return f"{ours} and {theirs}"


def changed_on_both_sides() -> ctxvars.Changes:
    before = ctxvars.snapshot()

    def theirs() -> ctxvars.Changes:
        FIRST.set("theirs")
        UNSET.set("new")
        return ctxvars.changes_since(before)

    changes = ctxvars.copy_context().run(theirs)
    FIRST.set("ours")
    return changes


@operation("snapshots")
def snapshot() -> Case:
    return Case(lambda: ctxvars.snapshot().bindings, bindings)


@operation("snapshots")
def snapshot_run() -> Case:
    before = ctxvars.snapshot()
    return Case(lambda: before.run(FIRST.set, 1), lambda: (bindings(), plain(before.bindings)))


@operation("snapshots")
def snapshot_bind() -> Case:
    bound = ctxvars.bind(FIRST.get)
    return Case(bound, bindings)


@operation("snapshots")
def changes_since() -> Case:
    before = ctxvars.copy_context()
    FIRST.set(1)
    return Case(lambda: list(ctxvars.changes_since(before)), bindings)


@operation("snapshots")
def apply_changes() -> Case:
    changes = changed_on_both_sides()
    return Case(lambda: changes.apply(resolve=resolve), bindings)


@operation("snapshots")
def apply_conflicting_changes() -> Case:
    changes = changed_on_both_sides()

    def run() -> object:
        try:
            return changes.apply()
        except ctxvars.MergeConflict:
            return "conflict"

    return Case(run, bindings, raises=True)
