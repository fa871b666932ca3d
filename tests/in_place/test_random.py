"""Random programs do the same to variables of the standard library and to ours, step by step.

All values in all contexts agree after each step, and what is held of a context stays as it was.
`python -m tests.in_place.test_random PROGRAMS SEED` runs more of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from ctxvars import Context, copy_context
from tests.in_place.test_ownership import HOLDERS
from tests.support.in_place import OTHERS, ROOT, Pair, error_of, named, noisy, pairs
from tests.support.subprocesses import in_subprocess

try:
    import greenlet
except ImportError:
    greenlet = None
try:
    import uvloop
except ImportError:
    uvloop = None

# Holders that need not enter the context.
OF_CURRENT = [
    "native_copy",
    "copy_of_ours",
    "copy_read_by_get",
    "copy_that_has_diverged",
    "copies_that_have_diverged",
    "copy_of_a_copy",
    "native_iterator",
    "iterator_of_items",
    "hamt_from_the_collector",
    *(f"node {depth} from the collector" for depth in range(4)),
    "the_cell",
    "the_cell_read_by_subscripts",
    "views_of_the_cell",
    "iterator_of_the_cell",
    "the_cell_in_another_context",
    "the_map",
    "a_derived_map",
    "a_map_with_one_value_replaced",
    "referents_of_the_cell",
    "weak_reference_to_the_map",
    "weak_reference_to_the_hamt",
    "a_generator",
]
NOISE = [0, 1, 5, 16, 40, 150, 900]
SIZES = [1, 2, 5, 17, 40, 120]


class Value:
    """A value that may refer to a context, and may set a pair of variables when it is freed."""

    __slots__ = ("__weakref__", "number", "refers", "sets")

    def __init__(self, number: int) -> None:
        self.number = number
        self.refers: object = None
        self.sets: Pair | None = None

    def __del__(self) -> None:
        pair, self.sets = self.sets, None
        if pair is not None:
            pair.set(Value(-self.number))

    def __repr__(self) -> str:
        return f"Value({self.number})"


class Held:
    """What was got from a context, and what it must show ever after."""

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.expected = named(context.bindings)
        self.read = HOLDERS[name](context)

    def check(self) -> None:
        found = self.read()
        assert found.keys() == self.expected.keys(), self.name
        for name, value in found.items():
            assert value is self.expected[name], (self.name, name, value)


class Program:
    """A random program on some pairs of variables."""

    def __init__(self, seed: int, size: int | None = None, steps: int | None = None) -> None:
        self.random = Random(seed)
        self.pairs = pairs(size or self.random.choice(SIZES))
        self.noise = self.random.choice(NOISE)
        self.steps = steps or self.random.choice([30, 200, 500])
        self.tokens: list[tuple[Pair, tuple[Any, Any]]] = []
        self.native_tokens: list[tuple[Any, Any]] = []
        self.contexts: list[contextvars.Context] = []
        self.held: list[Held] = []
        self.stack: list[contextvars.Context] = []
        self.count = 0

    def run(self) -> None:
        self.inside(noisy(self.noise).copy(), self.steps)
        for context in self.contexts:
            self.check_context(context)
        for held in self.held:
            held.check()
        # Values that set variables when they are freed must not do so in another program.
        self.__dict__.clear()

    def inside(self, context: contextvars.Context, steps: int, depth: int = 0) -> None:
        def body() -> None:
            self.stack.append(context)
            try:
                for _ in range(steps):
                    self.step(depth)
            finally:
                self.stack.pop()

        run = context.run if self.random.random() < 0.5 else Context.wrap(context).run
        run(body)

    def pair(self) -> Pair:
        return self.random.choice(self.pairs)

    def value(self) -> Value:
        value = Value(self.random.randrange(1000))
        if self.random.random() < 0.1 and self.contexts:
            value.refers = self.random.choice(self.contexts)
        if self.random.random() < 0.1:
            value.sets = self.pair()
        return value

    def step(self, depth: int) -> None:
        self.count += 1
        names, weights = zip(*STEPS, strict=True)
        (name,) = self.random.choices(names, weights)
        getattr(self, name)(depth)
        # Most values are compared now and then only.
        for pair in (self.pairs[0], self.pairs[-1], self.pair()):
            pair.check(name)
        if self.count % 16 == 0:
            for pair in self.pairs:
                pair.check(name)

    def set(self, depth: int) -> None:
        pair = self.pair()
        tokens = pair.set(self.value())
        if self.random.random() < 0.5:
            self.tokens.append((pair, tokens))

    def set_again(self, depth: int) -> None:
        """Several sets of one variable, most of them in place."""
        pair = self.pair()
        for _ in range(4):
            pair.set(self.value())
            pair.check("set again")

    def reset(self, depth: int) -> None:
        if not self.tokens:
            return
        index = self.random.randrange(len(self.tokens))
        pair, tokens = self.tokens[index]
        if self.random.random() < 0.8:
            del self.tokens[index]
        if self.random.random() < 0.1:
            pair = self.pair()
        pair.reset(tokens)

    def set_and_reset(self, depth: int) -> None:
        tokens = [(pair, pair.set(self.value())) for pair in self.pairs[:5]]
        for pair, token in reversed(tokens):
            assert pair.reset(token) is None

    def delete(self, depth: int) -> None:
        pair = self.pair()
        if (tokens := pair.delete()) is not None:
            self.tokens.append((pair, tokens))

    def scope(self, depth: int) -> None:
        pair, value = self.pair(), self.value()
        token = pair.native.set(value)
        with pair.ours.scope(value):
            pair.check("scope")
            self.set_noise(depth)
            pair.check("scope")
        pair.native.reset(token)

    def set_noise(self, depth: int) -> None:
        for _ in range(self.random.randrange(3)):
            other = OTHERS[self.random.randrange(max(self.noise, 1))]
            token = other.set(self.random.random())
            if self.random.random() < 0.3:
                other.reset(token)
            elif self.random.random() < 0.1:
                self.native_tokens.append((other, token))

    def reset_noise(self, depth: int) -> None:
        if self.native_tokens:
            other, token = self.native_tokens.pop(self.random.randrange(len(self.native_tokens)))
            error_of(other.reset, token)

    def set_many_others(self, depth: int) -> None:
        """Make the path longer or shorter for a while."""
        others = self.random.sample(OTHERS[self.noise :] or OTHERS, self.random.randrange(60))
        tokens = [(other, other.set(None)) for other in others]
        self.set(depth)
        for other, token in reversed(tokens):
            other.reset(token)
            self.set(depth)

    def copy(self, depth: int) -> None:
        match self.random.randrange(7):
            case 0:
                context = contextvars.copy_context()
            case 1:
                context = copy_context().native
            case 2:
                context = Context.wrap(contextvars.copy_context()).copy().native
            case 3 if self.contexts:
                context = self.random.choice(self.contexts).copy()
            case 4 if self.contexts:
                context = Context.wrap(self.random.choice(self.contexts)).copy().native
            case 5:
                context = contextvars.Context()
            case _:
                context = copy_context().native
        if len(self.contexts) > 12:
            del self.contexts[self.random.randrange(len(self.contexts))]
        self.contexts.append(context)

    def use_the_pool(self, depth: int) -> None:
        for _ in range(self.random.randrange(20)):
            copy = copy_context()
            if self.random.random() < 0.7:
                copy.run(self.pair().set, self.value())
            if self.random.random() < 0.1:
                self.contexts.append(copy.native)

    def nest(self, depth: int) -> None:
        if not self.contexts or depth >= 6:
            return
        context = self.random.choice(self.contexts)
        if any(context is entered for entered in self.stack):
            assert error_of(context.run, int) is not None
            assert error_of(Context.wrap(context).run, int) is not None
        else:
            self.inside(context, self.random.randrange(8), depth + 1)

    def hold(self, depth: int) -> None:
        context = Context.wrap(self.stack[-1])
        if context.native.get(ROOT) is not None and len(context) > 0:
            # The holders of nodes find the path through the collector.
            self.held.append(Held(self.random.choice(OF_CURRENT), context))

    def hold_and_set(self, depth: int) -> None:
        self.hold(depth)
        for _ in range(3):
            self.random.choice([self.set, self.delete, self.reset, self.set_and_reset])(depth)

    def drop(self, depth: int) -> None:
        while len(self.held) > self.random.randrange(5):
            self.held.pop(self.random.randrange(len(self.held))).check()

    def check_a_context(self, depth: int) -> None:
        if self.contexts:
            self.check_context(self.random.choice(self.contexts))

    def check_context(self, context: contextvars.Context) -> None:
        for pair in self.pairs:
            pair.check_in(context)

    def collect(self, depth: int) -> None:
        gc.collect(self.random.randrange(3))

    def run_in_a_thread(self, depth: int) -> None:
        if depth < 3 and self.contexts:
            context, errors = self.random.choice(self.contexts).copy(), []

            def body() -> None:
                try:
                    self.inside(context, 4, depth + 3)
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=body)
            thread.start()
            thread.join()
            if errors:
                raise errors[0]

    def put_the_cell_back(self, depth: int) -> None:
        """Other code sets the root variable to a cell of another moment, or resets it."""
        now = contextvars.copy_context().get(ROOT)
        values = {pair: pair.check() for pair in self.pairs}
        if now is None or self.noise > 100:
            return
        token = ROOT.set(now)
        tokens = [(pair, pair.set(Value(0))) for pair in self.pairs[:2]]
        assert all(now.get(pair.ours) is value for pair, value in values.items())
        ROOT.reset(token) if self.random.random() < 0.5 else ROOT.set(now)
        for pair, (native_token, _) in reversed(tokens):
            pair.native.reset(native_token)


STEPS = [
    ("set", 25),
    ("set_again", 5),
    ("reset", 12),
    ("set_and_reset", 4),
    ("delete", 4),
    ("scope", 4),
    ("set_noise", 10),
    ("reset_noise", 2),
    ("set_many_others", 1),
    ("copy", 8),
    ("use_the_pool", 3),
    ("nest", 14),
    ("hold", 4),
    ("hold_and_set", 5),
    ("drop", 3),
    ("check_a_context", 4),
    ("collect", 0.3),
    ("run_in_a_thread", 1),
    ("put_the_cell_back", 1),
]


class Tasks:
    """Tasks that set pairs of variables at random, with all ways in which a loop runs code."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pairs = pairs(self.random.choice(SIZES[:5]))
        self.others = OTHERS[: self.random.choice(NOISE[:6])]

    def check(self, where: str) -> None:
        for pair in self.pairs:
            pair.check(where)

    def set_one(self) -> tuple[Pair, tuple[Any, Any]]:
        pair = self.random.choice(self.pairs)
        return pair, pair.set(Value(self.random.randrange(1000)))

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        is_eager = sys.version_info >= (3, 12) and self.random.random() < 0.5
        # uvloop passes an argument that the factory of asyncio does not take on 3.13.0.
        if is_eager and isinstance(loop, asyncio.BaseEventLoop):
            loop.set_task_factory(asyncio.eager_task_factory)
        await asyncio.gather(*[self.body(0) for _ in range(5)])

    async def body(self, depth: int) -> None:
        random, tokens = self.random, []
        for _ in range(random.randrange(1, 12)):
            self.check("task")
            match random.randrange(10):
                case 0 | 1 | 2:
                    tokens.append(self.set_one())
                case 3 if tokens:
                    pair, token = tokens.pop()
                    assert pair.reset(token) is None
                case 4 if self.others:
                    random.choice(self.others).set(random.random())
                case 5:
                    await asyncio.sleep(0)
                case 6 if depth < 3:
                    bodies: list[Coroutine[Any, Any, None]] = []
                    bodies += [self.body(depth + 1) for _ in range(random.randrange(1, 4))]
                    tasks = [asyncio.ensure_future(body) for body in bodies]
                    self.set_one()
                    await asyncio.gather(*tasks)
                case 7:
                    asyncio.get_running_loop().call_soon(self.check, "call_soon")
                    self.set_one()
                case 8:
                    await asyncio.to_thread(self.check_and_set)
                case 9:
                    async for _ in self.generate():
                        self.check("in the loop")
                case _ if depth < 3:
                    context = copy_context()
                    context.run(self.set_one)
                    await asyncio.get_running_loop().create_task(
                        self.body(depth + 1), context=context.native
                    )
        self.check("end of the task")

    def check_and_set(self) -> None:
        self.check("thread")
        self.set_one()
        self.check("thread")

    async def generate(self) -> Any:
        for _ in range(3):
            self.set_one()
            self.check("generator")
            yield
            await asyncio.sleep(0)


def run_greenlets(seed: int) -> None:
    random = Random(seed)
    made, main = pairs(8), greenlet.getcurrent()
    greenlets: list[Any] = []

    def check() -> None:
        for pair in made:
            pair.check("greenlet")

    def body() -> None:
        for _ in range(random.randrange(3, 20)):
            check()
            random.choice(made).set(Value(1))
            if random.random() < 0.2:
                random.choice(OTHERS).set(1)
            if random.random() < 0.6:
                main.switch()
            check()

    for _ in range(4):
        each = greenlet.greenlet(body)
        each.gr_context = (
            greenlets[0].gr_context
            if greenlets and random.random() < 0.3
            else contextvars.copy_context()
        )
        greenlets.append(each)
    while alive := [each for each in greenlets if not each.dead]:
        random.choice(alive).switch()
        check()
        if random.random() < 0.3:
            random.choice(made).set(Value(1))


def run_threads(seed: int) -> None:
    """Programs that share their variables run at once."""
    programs = [Program(seed + number, steps=60) for number in range(3)]
    errors: list[BaseException] = []

    def work(program: Program) -> None:
        try:
            program.run()
        except BaseException as error:
            errors.append(error)

    for program in programs:
        program.pairs = programs[0].pairs
    threads = [threading.Thread(target=work, args=(program,)) for program in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def run_programs(first: int, count: int, *, collects: bool = False) -> int:
    """Run programs with these seeds; return the number of steps."""
    steps = 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    if not collects or sys.version_info < (3, 12):
        # A collection in the middle of a native `set` runs finalisers that set (gh-148891).
        gc.disable()
    try:
        for seed in range(first, first + count):
            try:
                program = Program(seed)
                steps += program.steps
                program.run()
                if seed % 3 == 0:
                    asyncio.run(Tasks(seed).main())
                if seed % 6 == 0 and uvloop is not None:
                    uvloop.run(Tasks(seed + 1).main())
                if seed % 4 == 0 and greenlet is not None:
                    Context().run(run_greenlets, seed)
                if seed % 4 == 1:
                    run_threads(seed)
                gc.collect()
            except BaseException:
                print(f"seed {seed}", file=sys.stderr)
                raise
    finally:
        gc.enable()
        sys.setswitchinterval(interval)
    return steps


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_programs_agree_with_the_standard_library(first: int) -> None:
    assert in_subprocess(run_programs, first, 20, timeout=300) > 0


def main(arguments: list[str]) -> None:
    programs, seed, *_ = [*map(int, arguments), 0]
    print(run_programs(seed, programs), "steps")


if __name__ == "__main__":
    main(sys.argv[1:])
