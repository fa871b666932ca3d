"""Random programs do the same on the standard library and on ours.

Each step of a program is done on both sides, and after it everything that can be observed is
compared. There are enough variables for the map to grow from its flat form into a tree and back.
"""

import contextvars as native
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any, NoReturn

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from parity import outcome

import ctxvars

MOST_VARIABLES = 40
MOST_CONTEXTS = 5
MOST_TOKENS = 60
DEEPEST = 4

ABSENT = object()
# Different objects that are equal, one that equals nothing, and some that the collector follows.
VALUES: list[Any] = [0, False, 0.0, 1, 10**30, "a", None, float("nan"), [], [], (), ([],)]

values = st.sampled_from(VALUES)
# Says which of the variables, contexts and so on, modulo how many there are.
indices = st.integers(0, MOST_VARIABLES - 1)
views = st.sampled_from(["keys", "values", "items", "__iter__"])


def pick(things: list[Any], index: int) -> Any:
    return things[index % len(things)]


def fail(error: Exception) -> NoReturn:
    raise error


class Side:
    """One of the two modules, with all that a program has made of it."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.variables: list[Any] = []
        self.places: dict[int, str] = {}
        self.entered = [module.Context()]
        self.contexts = [module.Context()]
        self.tokens: list[Any] = []
        self.iterator = iter(self.entered[0])
        self.yielded: Counter[Any] = Counter()

    def inside(self, step: Callable[[], Any], depth: int = 0) -> Any:
        """Do a step in the contexts that have been entered, one in the other."""
        if depth == len(self.entered):
            return step()
        return self.entered[depth].run(self.inside, step, depth + 1)

    def new_variable(self, **keywords: Any) -> object:
        name = f"v{len(self.variables)}"
        variable = self.module.ContextVar(name, **keywords)
        self.variables.append(variable)
        self.places[id(variable)] = name
        return variable

    def keep_context(self, context: object) -> object:
        self.contexts = [*self.contexts, context][-MOST_CONTEXTS:]
        return context

    def set(self, variable: Any, value: object) -> object:
        self.tokens = [*self.tokens, variable.set(value)][-MOST_TOKENS:]
        return self.tokens[-1]

    def start(self, iterator: Any) -> object:
        self.iterator = iterator
        self.yielded.clear()
        return iterator

    def advance(self) -> object:
        try:
            self.yielded[self.known(next(self.iterator))] += 1
        except StopIteration:
            return sorted(map(repr, self.yielded.elements()))
        return self.yielded.total()

    def known(self, thing: object) -> object:
        """Return something that is the same for things that correspond, and only for these."""
        if type(thing) is tuple and len(thing) == 2:
            return tuple(map(self.known, thing))
        # Values are the same objects on both sides.
        return self.places.get(id(thing), id(thing))

    def contents(self, context: Any) -> object:
        """Return all that a context tells. The order of iteration is nobody's promise."""
        return (
            len(context),
            *(
                Counter(map(self.known, iterator))
                for iterator in (context, context.keys(), context.values(), context.items())
            ),
            [self.known(context.get(variable, ABSENT)) for variable in self.variables],
            [variable in context for variable in self.variables],
        )

    def token(self, token: Any) -> object:
        return outcome(lambda: token), self.known(token.var), self.known(token.old_value)

    def state(self) -> object:
        contexts = [*self.contexts, *self.entered, self.inside(self.module.copy_context)]
        return (
            [self.contents(context) for context in contexts],
            [a == b for a, b in product(contexts, repeat=2)],
            self.inside(lambda: [self.known(it.get(ABSENT)) for it in self.variables]),
            self.inside(lambda: [outcome(variable.get) for variable in self.variables]),
            [self.token(token) for token in self.tokens],
            len(self.iterator),
        )


class Programs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sides = Side(native), Side(ctxvars)

    def both(self, step: Callable[..., object], *arguments: object) -> None:
        def on(side: Side) -> tuple[str, ...]:
            return outcome(lambda: side.inside(lambda: step(side, *arguments)))

        theirs, ours = map(on, self.sides)
        assert ours == theirs

    @invariant()
    def all_is_the_same(self) -> None:
        theirs, ours = (side.state() for side in self.sides)
        assert ours == theirs

    @initialize(count=st.integers(1, MOST_VARIABLES // 2))
    def make_variables(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda side: side.new_variable())

    @rule(count=st.integers(1, 10), default=values)
    def make_variables_with_default(self, count: int, default: object) -> None:
        for _ in range(min(count, MOST_VARIABLES - len(self.sides[0].variables))):
            self.both(lambda side: side.new_variable(default=default))

    @rule(index=indices, value=values)
    def set_one(self, index: int, value: object) -> None:
        self.both(lambda side: side.set(pick(side.variables, index), value))

    @rule(first=indices, count=st.integers(2, MOST_VARIABLES), value=values)
    def set_many(self, first: int, count: int, value: object) -> None:
        for index in range(first, first + count):
            self.set_one(index, value)

    @rule(index=indices, value=values)
    def get(self, index: int, value: object) -> None:
        self.both(lambda side: pick(side.variables, index).get(value))

    @precondition(lambda self: self.sides[0].tokens)
    @rule(index=indices)
    def reset(self, index: int) -> None:
        self.both(lambda side: (it := pick(side.tokens, index)).var.reset(it))

    @precondition(lambda self: self.sides[0].tokens)
    @rule(index=indices, variable=indices)
    def reset_by_any_variable(self, index: int, variable: int) -> None:
        self.both(lambda side: pick(side.variables, variable).reset(pick(side.tokens, index)))

    @rule(count=st.integers(2, MOST_TOKENS), newest_first=st.booleans())
    def reset_many(self, count: int, newest_first: bool) -> None:
        place = -1 if newest_first else 0
        for _ in range(min(count, len(self.sides[0].tokens))):
            self.both(lambda side: (it := side.tokens.pop(place)).var.reset(it))

    @rule()
    def make_context(self) -> None:
        self.both(lambda side: side.keep_context(side.module.Context()))

    @rule()
    def copy_current(self) -> None:
        self.both(lambda side: side.keep_context(side.module.copy_context()))

    @rule(index=indices)
    def copy(self, index: int) -> None:
        self.both(lambda side: side.keep_context(pick(side.contexts, index).copy()))

    @precondition(lambda self: len(self.sides[0].entered) < DEEPEST)
    @rule(index=indices)
    def enter(self, index: int) -> None:
        for side in self.sides:
            context = pick(side.contexts, index)
            if all(context is not other for other in side.entered):
                side.entered.append(context)

    @precondition(lambda self: len(self.sides[0].entered) > 1)
    @rule()
    def leave(self) -> None:
        for side in self.sides:
            side.entered.pop()

    @rule(index=indices)
    def enter_again(self, index: int) -> None:
        self.both(lambda side: pick(side.entered, index).run(len, ""))

    @rule(index=indices, variable=indices, value=values)
    def run_and_raise(self, index: int, variable: int, value: object) -> None:
        def step(side: Side) -> None:
            context = pick(side.contexts, index)
            context.run(side.set, pick(side.variables, variable), value)
            context.run(fail, ArithmeticError(value))

        self.both(step)

    @rule(index=indices, variable=indices)
    def look_up(self, index: int, variable: int) -> None:
        self.both(lambda side: pick(side.contexts, index)[pick(side.variables, variable)])

    @rule(index=indices, wrong=values, method=st.sampled_from(["get", "__getitem__"]))
    def look_up_what_is_no_variable(self, index: int, wrong: object, method: str) -> None:
        self.both(lambda side: getattr(pick(side.contexts, index), method)(wrong))
        self.both(lambda side: wrong in pick(side.contexts, index))

    @rule(index=indices, view=views)
    def start_iterating(self, index: int, view: str) -> None:
        self.both(lambda side: side.start(getattr(pick(side.contexts, index), view)()))

    @rule(count=st.integers(1, MOST_VARIABLES))
    def iterate(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda side: side.advance())


# The same programs each time, so that a failure is a change of the code and not luck.
Programs.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=3 * settings.default.max_examples,
    stateful_step_count=40,
)
TestPrograms = Programs.TestCase
