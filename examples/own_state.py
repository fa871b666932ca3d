"""A small library with hidden state, used from threads and tasks at the same time.

The first half is the library. It formats numbers by the current settings, which a `with` block
changes for all calls inside it. The second half uses the library in four threads and four tasks at
once. Each of them sees only its own settings.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context
from dataclasses import dataclass, replace
from typing import Any

# The library


@dataclass(frozen=True)
class Settings:
    """How to write a number."""

    places: int = 2
    point: str = "."
    group: str = ","


# The settings are immutable, because copies of a context share the values: a change in place would
# be seen in all of them.
_DEFAULT = Settings()
_current = ContextVar("settings", default=_DEFAULT)


def write(number: float) -> str:
    """Write a number by the current settings."""
    current = _current.get()
    text = f"{number:,.{current.places}f}"
    return text.translate(str.maketrans(",.", current.group + current.point))


def change(**changes: Any) -> Token[Settings]:
    """Change the current settings until the token is given to `restore`."""
    return _current.set(replace(_current.get(), **changes))


def restore(token: Token[Settings]) -> None:
    """Restore the settings from before the call of `change` that returned the token."""
    _current.reset(token)


@contextmanager
def settings(**changes: Any) -> Iterator[None]:
    """Change the current settings for a `with` block."""
    token = change(**changes)
    try:
        yield
    finally:
        restore(token)


# Its users

NUMBER = 1234567.891
ROUNDS = 100
TIMEOUT = 10.0

# Each user's own settings, and how they write the number in full and without decimals.
USERS = {
    "Berlin": (Settings(2, ",", "."), "1.234.567,89", "1.234.568"),
    "Boston": (Settings(2, ".", ","), "1,234,567.89", "1,234,568"),
    "Paris": (Settings(3, ",", " "), "1 234 567,891", "1 234 568"),
    "Zurich": (Settings(1, ".", "'"), "1'234'567.9", "1'234'568"),
}


def use(name: str) -> Iterator[bool]:
    """Write the number again and again; yield whether the text is right, to let other users run.

    A generator runs in the context of the code that resumes it. So threads and tasks can use the
    same generator function, though they wait in different ways.
    """
    own, expected, expected_short = USERS[name]
    with settings(places=own.places, point=own.point, group=own.group):
        for _ in range(ROUNDS):
            yield write(NUMBER) == expected
            with settings(places=0):
                yield write(NUMBER) == expected_short


def use_in_thread(name: str, turn: threading.Barrier) -> int:
    right = 0
    for is_right in use(name):
        right += is_right
        turn.wait(TIMEOUT)
    return right


async def use_in_task(name: str, turn: asyncio.Barrier) -> int:
    right = 0
    for is_right in use(name):
        right += is_right
        await turn.wait()
    return right


async def use_everywhere() -> list[int]:
    """Run each user in a thread and in a task; return how often each wrote its number right."""
    # The barriers make the users take turns: all of them begin before any of them ends.
    thread_turn = threading.Barrier(len(USERS))
    task_turn = asyncio.Barrier(len(USERS))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(USERS)) as pool:
        threads = [loop.run_in_executor(pool, use_in_thread, name, thread_turn) for name in USERS]
        tasks = [use_in_task(name, task_turn) for name in USERS]
        return await asyncio.gather(*threads, *tasks)


def refusal(token: Token[Settings], context: Context) -> str:
    """Return the name of the error with which a token is refused in a context."""
    try:
        context.run(restore, token)
    except (RuntimeError, ValueError) as error:
        return type(error).__name__
    return "none"


def check(what: str, shown: str, expected: str) -> bool:
    print(f"{what}: {shown}")
    return shown == expected


def check_snapshot() -> bool:
    """Show that a snapshot keeps the settings, and that changes in it are not seen outside."""
    with settings(places=4):
        snapshot = copy_context()
    before = check("in a snapshot", snapshot.run(write, NUMBER), "1,234,567.8910")
    snapshot.run(change, group="_")
    after = check("changed in the snapshot", snapshot.run(write, NUMBER), "1_234_567.8910")
    outside = check("outside it", write(NUMBER), "1,234,567.89")
    return before and after and outside


def check_token() -> bool:
    """Show that a token works once, and only in the context where it was made."""
    own = copy_context()
    token = own.run(change, places=0)
    changed = check("changed", own.run(write, NUMBER), "1,234,568")
    elsewhere = check("restored in another context", refusal(token, copy_context()), "ValueError")
    own.run(restore, token)
    restored = check("restored", own.run(write, NUMBER), "1,234,567.89")
    again = check("restored again", refusal(token, own), "RuntimeError")
    return changed and elsewhere and restored and again


def main() -> None:
    rights = asyncio.run(use_everywhere())
    users = [f"{name} in a {place}" for place in ("thread", "task") for name in USERS]
    users_right = [
        check(user, f"{right} of {2 * ROUNDS} right", f"{2 * ROUNDS} of {2 * ROUNDS} right")
        for user, right in zip(users, rights, strict=True)
    ]
    if not all([*users_right, check_snapshot(), check_token()]):
        sys.exit("The settings mixed: a user has seen those of another.")


if __name__ == "__main__":
    main()
