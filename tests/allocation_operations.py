"""The public API as a table of operations, for tests that let each allocation fail in turn.

Each entry makes fresh objects and returns a `Case`. Values are numbers and texts, so that the
states and results of two cases of one entry can be compared.
"""

from __future__ import annotations

import contextvars
import copy
import pickle
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any

import ctxvars
from ctxvars import ContextVar, Map, _core, classes


@dataclass
class Case:
    """One operation on fresh objects.

    `run` makes no functions, and no generators by expressions: CPython 3.13 crashes where it has no
    memory for one.

    `is_repeatable` is false for what runs the code of the caller, which may itself be short of
    memory: a generator that raised has ended, and is not resumed by another try.

    `raises` is true if an exception passes Python code even if memory is plenty. Then CPython may
    need memory for its traceback, and lose it: "returned NULL without setting an exception".
    """

    run: Callable[[], object]
    state: Callable[[], object]
    is_repeatable: bool = True
    raises: bool = False


Prepare = Callable[[], Case]
GROUPS: dict[str, dict[str, Prepare]] = {}


def native_variable() -> contextvars.ContextVar[object]:
    """A variable of the standard library, in another slot of a native context than our root.

    In one slot they share an inner node, and CPython leaks one of these when it has no memory.
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
    """What each case finds in the current context."""
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
    """A result in a form that compares by content."""
    match value:
        case ctxvars.MapDiff():
            return [plain(part) for part in (value.added, value.removed, value.changed)]
        case ctxvars.Context():
            return {variable.name: plain(found) for variable, found in value.items()}
        case ctxvars.Token():
            return value.var.name, plain(value.old_value)
        case ctxvars.Changes():
            return plain(value.diff)
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
on_variables("bind", lambda: FIRST.bind(1, strict=True))
on_variables("scope of a dict", lambda: ctxvars.scope({FIRST: 1, UNSET: 2}))
on_variables("scope of pairs", lambda: ctxvars.scope([(FIRST, 1), (UNSET, 2)]))
on_variables("scope of a map", lambda: ctxvars.scope(Map({FIRST: 1, UNSET: 2})))
on_variables("CurrentValue", lambda: _core.CurrentValue(FIRST).variable)


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
    """The bindings before the set were those of no variable at all."""
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
    "one": lambda: FIRST.bind(1),
    "an unset one": lambda: UNSET.bind(1),
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
    context, scope = ctxvars.Context(), FIRST.bind(1)
    case = scope_case(scope, lambda: type(context.run(scope.__enter__)))
    return Case(case.run, lambda: (case.state(), plain(context)))


@operation("scopes")
def repr_of_a_scope() -> Case:
    scope = ctxvars.scope({FIRST: 1, UNSET: 2})
    return scope_case(scope, lambda: repr(scope)[:12])


# Groups


class Settings(ctxvars.Group):
    precision: int = 28
    locale: str


@operation("groups")
def group_instance() -> Case:
    return Case(lambda: Settings(precision=6).__reduce__()[1], bindings)


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
on_contexts("variables", lambda context, _: context.variables)
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
    return Case(lambda: ctxvars.snapshot().variables, bindings)


@operation("snapshots")
def snapshot_run() -> Case:
    before = ctxvars.snapshot()
    return Case(lambda: before.run(FIRST.set, 1), lambda: (bindings(), plain(before.variables)))


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


# Isolation


def body() -> Generator[object, object, object]:
    FIRST.set("body")
    sent: object = FIRST.get()
    while True:
        try:
            sent = yield sent
        except ValueError:
            sent = "caught"


async def coroutine() -> object:
    FIRST.set("body")
    await Suspend()
    return FIRST.get()


async def async_body() -> AsyncGenerator[object, object]:
    FIRST.set("body")
    sent: object = FIRST.get()
    while True:
        try:
            sent = yield sent
        except ValueError:
            sent = "caught"


class Suspend:
    def __await__(self) -> Generator[object, object, object]:
        return (yield "suspended")


def driven(awaitable: Any) -> object:
    """The result of an awaitable that does not suspend."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as stop:
        return stop.value
    return "suspended"


def on_bodies(
    name: str,
    make: Callable[[], Any],
    run: Callable[[Any], object],
    start: Callable[[Any], object] | None = None,
) -> None:
    def prepare() -> Case:
        proxy = make()
        if start is not None:
            start(proxy)

        def state() -> object:
            # After a failed step the context of the body is left again: the proxy can be used.
            close = getattr(proxy, "aclose", None)
            if close is None:
                proxy.close()
            else:
                driven(close())
            return bindings()

        return Case(lambda: run(proxy), state, is_repeatable=False, raises=True)

    add("isolation", name, prepare)


for inherit in ("once", "live"):

    def make_generator(inherit: Any = inherit) -> Any:
        return ctxvars.isolated(body(), inherit=inherit)

    def start(proxy: Any) -> None:
        next(proxy)
        SECOND.set("changed")
        NATIVE.set("changed")

    on_bodies(f"first next, {inherit}", make_generator, next)
    on_bodies(f"second next, {inherit}", make_generator, next, start)

on_bodies("first send", make_generator, lambda proxy: proxy.send(None))
on_bodies("send", make_generator, lambda proxy: proxy.send(1), next)
on_bodies("throw", make_generator, lambda proxy: proxy.throw(ValueError), next)
on_bodies("close", make_generator, lambda proxy: proxy.close(), next)
on_bodies("close before the start", make_generator, lambda proxy: proxy.close())
on_bodies("attribute", make_generator, lambda proxy: proxy.gi_running)
on_bodies("class", make_generator, lambda proxy: proxy.__class__)
on_bodies("repr of a proxy", make_generator, lambda proxy: repr(proxy)[:20])


def make_coroutine() -> Any:
    return ctxvars.isolated(coroutine())


on_bodies("send to a coroutine", make_coroutine, lambda proxy: proxy.send(None))
on_bodies("await a coroutine", make_coroutine, driven)
on_bodies(
    "end a coroutine", make_coroutine, lambda proxy: proxy.close(), lambda proxy: proxy.send(None)
)


def make_async_generator() -> Any:
    return ctxvars.isolated(async_body())


def first_item(proxy: Any) -> object:
    return driven(proxy.__anext__())


on_bodies("anext", make_async_generator, first_item)
on_bodies("asend", make_async_generator, lambda proxy: driven(proxy.asend(1)), first_item)
on_bodies(
    "athrow", make_async_generator, lambda proxy: driven(proxy.athrow(ValueError)), first_item
)
on_bodies("aclose", make_async_generator, lambda proxy: driven(proxy.aclose()), first_item)


@operation("isolation")
def anext_with_hooks() -> Case:
    def firstiter(_: object) -> None: ...

    def finalizer(_: object) -> None: ...

    proxy = make_async_generator()
    sys.set_asyncgen_hooks(firstiter, finalizer)

    def state() -> object:
        names = [hook and hook.__name__ for hook in sys.get_asyncgen_hooks()]
        sys.set_asyncgen_hooks(None, None)
        return bindings(), names

    return Case(lambda: driven(proxy.__anext__()), state, is_repeatable=False)


@operation("isolation")
def drop_a_generator() -> Case:
    proxies = [make_generator()]
    next(proxies[0])
    return Case(proxies.clear, bindings)


@operation("isolation")
def isolate_a_generator() -> Case:
    generator = body()
    return Case(lambda: type(ctxvars.isolated(generator)), bindings)


@operation("isolation")
def isolated_function() -> Case:
    function = ctxvars.isolated(lambda: FIRST.set("body").var.name)
    return Case(function, bindings)


@operation("isolation")
def isolated_generator_function() -> Case:
    function = ctxvars.isolated(body)
    return Case(lambda: type(function()), bindings)


@operation("isolation")
def make_an_isolated_function() -> Case:
    return Case(lambda: ctxvars.isolated(body).__name__, bindings)


class WithMethod:
    @ctxvars.isolated
    def method(self) -> object:
        FIRST.set("body")
        return FIRST.get()


@operation("isolation")
def isolated_method() -> Case:
    instance = WithMethod()
    return Case(instance.method, bindings)


@operation("isolation")
def pickle_an_isolated_function() -> Case:
    return Case(WithMethod.method.__reduce__, bindings)


@operation("isolation")
def propagate() -> Case:
    def run() -> None:
        with ctxvars.propagate_to_threads():
            pass

    return Case(run, bindings)


# Maps

SMALL = Map(a=1, b=2)
LARGE = Map({number: str(number) for number in range(300)})
OTHER = LARGE.update(dict.fromkeys(range(290, 310), "new")).delete(0).set(1, "other")
THIRD_MAP = LARGE.set(2, "third").set(1, "third")
DICT = {number: number for number in range(60)}
PAIRS = list(DICT.items())
NAMED = Map({f"key {number}": number for number in range(60)})


def is_odd(_: str, value: int) -> bool:
    return value % 2 == 1


def on_maps(name: str, run: Callable[[], object]) -> None:
    maps = (SMALL, LARGE, OTHER, THIRD_MAP, NAMED)
    add("maps", name, lambda: Case(run, lambda: [dict(each) for each in maps]))


on_maps("new of a dict", lambda: Map(DICT))
on_maps("new of pairs", lambda: Map(PAIRS))
on_maps("new of an iterator", lambda: Map(iter(PAIRS)))
on_maps("new of lists", lambda: Map([[1, 2], [3, 4]]))
on_maps("new of keywords", lambda: Map(a=1, b=2, c=3))
on_maps("new of both", lambda: Map(DICT, a=1))
on_maps("fromkeys", lambda: Map.fromkeys(range(60)))
on_maps("subscript", lambda: (LARGE[5], LARGE.get(1000), 5 in LARGE, len(LARGE)))
on_maps("set", lambda: LARGE.set(5, "new"))
on_maps("set a new key", lambda: LARGE.set(5000, "new"))
on_maps("set in a small one", lambda: SMALL.set("c", 3))
on_maps("delete", lambda: LARGE.delete(5))
on_maps("delete from a small one", lambda: SMALL.delete("a"))
on_maps("discard", lambda: (LARGE.discard(5), LARGE.discard(5000)))
on_maps("update from a dict", lambda: LARGE.update(DICT))
on_maps("update from a few", lambda: LARGE.update({1: "new", 5000: "new"}))
on_maps("update from a map", lambda: LARGE.update(OTHER))
on_maps("update from pairs", lambda: LARGE.update(PAIRS, a=1))
on_maps("union", lambda: LARGE | OTHER)
on_maps("union with a dict", lambda: (SMALL | {"c": 3}, {"c": 3} | SMALL))
on_maps("intersection", lambda: LARGE.intersection(OTHER))
on_maps("intersection with keys", lambda: LARGE.intersection(range(10)))
on_maps("difference", lambda: (LARGE.difference(OTHER), LARGE.difference(range(290))))
on_maps("diff", lambda: LARGE.diff(OTHER))
on_maps("diff to a dict", lambda: SMALL.diff({"a": 1, "c": 3}))
on_maps("apply", lambda: LARGE.apply(LARGE.diff(OTHER)))
on_maps("filter", lambda: NAMED.filter(is_odd))
on_maps("map_values", lambda: NAMED.map_values(str))
on_maps("merge", lambda: ctxvars.merge(LARGE, OTHER, LARGE.set(5, "third")))
on_maps("merge and resolve", lambda: ctxvars.merge(LARGE, OTHER, THIRD_MAP, resolve=resolve))
on_maps("==", lambda: (LARGE == OTHER, Map(dict(LARGE)) == LARGE, dict(NAMED) == NAMED))
on_maps("hash", lambda: type(hash(Map(DICT))))
on_maps("repr", lambda: (repr(SMALL), repr(SMALL.keys()), repr(SMALL.items())))
on_maps("iterate", lambda: (list(SMALL), list(SMALL.values()), list(SMALL.items())))
on_maps("iterate and keep", lambda: list(LARGE.items()))
on_maps("reversed views", lambda: (sorted(SMALL.keys()), sorted(SMALL.items())))
on_maps("views and", lambda: (NAMED.keys() & {"key 1"}, NAMED.items() & {("key 1", 1)}))
on_maps("views or", lambda: (SMALL.keys() | {"c"}, SMALL.items() | {("c", 3)}))
on_maps("views minus", lambda: (SMALL.keys() - {"a"}, SMALL.items() - {("a", 1)}))
on_maps("views xor", lambda: (SMALL.keys() ^ {"a", "c"}, SMALL.items() ^ {("a", 1)}))
on_maps("views of maps", lambda: (SMALL.keys() & NAMED.keys(), SMALL.items() ^ NAMED.items()))
on_maps("views ==", lambda: (SMALL.keys() == {"a", "b"}, SMALL.items() <= NAMED.items()))
on_maps("views isdisjoint", lambda: SMALL.keys().isdisjoint(NAMED.keys()))
on_maps("view mapping", lambda: SMALL.keys().mapping)
on_maps("copy", lambda: (copy.copy(SMALL), SMALL.copy()))
on_maps("deepcopy", lambda: copy.deepcopy(Map(a=[1])))
on_maps("reduce", SMALL.__reduce__)
on_maps("pickle", lambda: pickle.loads(pickle.dumps(SMALL)))
on_maps("sizeof", lambda: type(sys.getsizeof(LARGE)))
on_maps("mutate", lambda: LARGE.mutate())


@operation("maps")
def key_errors() -> Case:
    def run() -> object:
        try:
            return SMALL["missing"]
        except KeyError as error:
            return error.args

    return Case(run, lambda: dict(SMALL))


@operation("maps")
def wrong_arguments() -> Case:
    def run() -> object:
        try:
            return SMALL.get()  # type: ignore[call-overload]
        except TypeError as error:
            return error.args

    return Case(run, lambda: dict(SMALL))


# Mutations


def on_mutations(
    name: str, run: Callable[[ctxvars.MapMutation[Any, Any]], object], of: Map[Any, Any] = LARGE
) -> None:
    def prepare() -> Case:
        mutation = of.mutate()
        mutation["first"] = "edit"  # Its nodes on this path are its own, the others are shared.

        def state() -> object:
            # Whatever is found by iteration is found by its key, and the length is right.
            found = dict(mutation)
            keyed = {key: mutation[key] for key in found}
            return found, keyed == found, len(mutation) == len(found), dict(of)

        return Case(lambda: run(mutation), state)

    add("mutations", name, prepare)


def delete(mutation: ctxvars.MapMutation[Any, Any]) -> None:
    del mutation[5]


def delete_nearly_all(mutation: ctxvars.MapMutation[Any, Any]) -> None:
    for key in [*mutation][:-6]:
        mutation.discard(key)


on_mutations("set", lambda mutation: mutation.__setitem__(5, "new"))
on_mutations("set a new key", lambda mutation: mutation.set(5000, "new"))
on_mutations("delete", delete)
on_mutations("discard", lambda mutation: mutation.discard(5))
on_mutations("pop", lambda mutation: (mutation.pop(5), mutation.pop(5000, "default"))[1])
on_mutations("popitem", lambda mutation: len(mutation.popitem()))
on_mutations("popitem of a small one", lambda mutation: len(mutation.popitem()), Map())
on_mutations("setdefault", lambda mutation: mutation.setdefault(5000, "new"))
on_mutations("update", lambda mutation: mutation.update(DICT))
on_mutations("update from a map", lambda mutation: mutation.update(OTHER, a=1))
on_mutations("clear", lambda mutation: mutation.clear())
on_mutations("get", lambda mutation: (mutation.get(5), mutation.get(5000), 5 in mutation))
on_mutations("iterate", lambda mutation: list(mutation))
on_mutations("views", lambda mutation: [list(mutation.keys()), len(mutation.items())])
on_mutations("repr", lambda mutation: repr(mutation), SMALL)
on_mutations("==", lambda mutation: (mutation == dict(mutation), mutation == LARGE))
on_mutations("finish", lambda mutation: mutation.finish())
on_mutations("fall back to a leaf", lambda mutation: mutation.discard(1), Map.fromkeys(range(16)))
on_mutations("grow to a branch", lambda mutation: mutation.set(16, 1), Map.fromkeys(range(15)))


# Classes


class Meta(type): ...


class Entries:
    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type]:
        return (int,)


def class_body() -> None:
    attribute = 1  # noqa: F841


def observe(step: str, value: object) -> None: ...


def on_classes(name: str, run: Callable[[], object]) -> None:
    add("classes", name, lambda: Case(run, lambda: None))


on_classes("build_class", lambda: classes.build_class(class_body, "C"))
on_classes("of a base", lambda: classes.build_class(class_body, "C", int))
on_classes("of entries", lambda: classes.build_class(class_body, "C", Entries()))
on_classes("of a metaclass", lambda: classes.build_class(class_body, "C", metaclass=Meta))
on_classes("run_body", lambda: classes.run_body(class_body, {}))
on_classes("observed", lambda: _core.build_class_observed(observe, class_body, "C", metaclass=Meta))
