"""`annotate_exceptions` adds one note with values, and never replaces the exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, annotate_exceptions
from ctxvars._diagnosis.wording import is_secret_name
from tests.support.new_context import in_new_context

user: ContextVar[Any] = ContextVar("user")
tenant: ContextVar[Any] = ContextVar("tenant")


def notes(block: Any, function: Callable[[], object] = lambda: 1 / 0) -> list[str]:
    with pytest.raises(ZeroDivisionError) as raised, block:
        function()
    return getattr(raised.value, "__notes__", [])


class TestNote:
    def test_named_variables_are_listed_in_their_order(self) -> None:
        with user.scope("Ada"), tenant.scope("acme"):
            found = notes(annotate_exceptions(user, tenant))
        assert found == ["context variables: user = 'Ada', tenant = 'acme'"]

    def test_a_named_variable_without_a_value_is_listed(self) -> None:
        assert notes(annotate_exceptions(user)) == ["context variables: user has no value"]

    def test_all_variables_are_listed_by_name(self) -> None:
        def run() -> list[str]:
            with user.scope("Ada"), tenant.scope("acme"):
                return notes(annotate_exceptions())

        assert in_new_context(run) == ["context variables: tenant = 'acme', user = 'Ada'"]

    def test_without_values_there_is_not_a_note(self) -> None:
        assert in_new_context(lambda: notes(annotate_exceptions())) == []

    def test_values_are_those_at_the_end_of_the_block(self) -> None:
        def fail() -> None:
            with tenant.scope("inner"):
                user.set("Grace")
                raise ZeroDivisionError

        found = in_new_context(lambda: notes(annotate_exceptions(user, tenant), fail))
        assert found == ["context variables: user = 'Grace', tenant has no value"]

    def test_long_values_are_cut(self) -> None:
        with user.scope("x" * 10_000), tenant.scope(list(range(10_000))):
            (note,) = notes(annotate_exceptions(user, tenant))
        assert len(note) < 300

    def test_many_variables_are_counted(self) -> None:
        variables = [ContextVar(f"v{number}") for number in range(60)]

        def run() -> list[str]:
            with ctxvars.scope(dict.fromkeys(variables, 1)):
                return notes(annotate_exceptions())

        (note,) = in_new_context(run)
        assert note.endswith(", and 10 more")

    def test_the_note_is_added_once(self) -> None:
        block = annotate_exceptions(user)

        def nested() -> None:
            with block, block:
                raise ZeroDivisionError

        with user.scope("Ada"):
            assert notes(block, nested) == ["context variables: user = 'Ada'"]

    def test_each_block_adds_its_note(self) -> None:
        def nested() -> None:
            with tenant.scope("acme"), annotate_exceptions(tenant):
                raise ZeroDivisionError

        with user.scope("Ada"):
            assert len(notes(annotate_exceptions(user), nested)) == 2

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, StopAsyncIteration]
    )
    def test_what_is_not_a_failure_is_left_alone(self, error: type[BaseException]) -> None:
        with pytest.raises(error) as raised, annotate_exceptions(user):
            raise error
        assert not hasattr(raised.value, "__notes__")


class TestSecrets:
    @pytest.mark.parametrize(
        "name",
        [
            *(
                "password",
                "db_passwd",
                "auth_token",
                "client_secret",
                "api_key",
                "apiKey",
                "API_KEY",
            ),
            *("cookie", "Authorization", "session_id", "credentials", "request.auth", "csrf"),
        ],
    )
    def test_names_of_secrets(self, name: str) -> None:
        assert is_secret_name(name)

    @pytest.mark.parametrize("name", ["user", "keyboard", "monkey", "author", "spin", "tenant"])
    def test_names_of_other_things(self, name: str) -> None:
        assert not is_secret_name(name)

    def test_a_secret_is_not_shown(self) -> None:
        password: ContextVar[str] = ContextVar("password")
        with password.scope("hunter2"):
            found = notes(annotate_exceptions(password))
        assert found == ["context variables: password = <redacted>"]

    def test_variables_and_parts_of_names_are_redacted(self) -> None:
        with user.scope("Ada"), tenant.scope("acme"):
            found = notes(annotate_exceptions(user, tenant, redact=[user, "TEN"]))
        assert found == ["context variables: user = <redacted>, tenant = <redacted>"]


class Failing:
    """A value whose `repr` raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class TestHostileValues:
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, RecursionError])
    def test_a_repr_that_raises_does_not_replace_the_exception(
        self, error: type[BaseException]
    ) -> None:
        with user.scope(Failing(error)):
            found = notes(annotate_exceptions(user))
        assert all("Failing" in note for note in found)

    def test_a_repr_that_recurses(self) -> None:
        class Endless:
            def __repr__(self) -> str:
                return repr(self)

        with user.scope(Endless()):
            (note,) = notes(annotate_exceptions(user))
        assert note.startswith("context variables: user = <Endless ")

    def test_a_list_that_has_itself(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        with user.scope(endless):
            (note,) = notes(annotate_exceptions(user))
        assert "[..." in note

    def test_an_exception_that_refuses_notes(self) -> None:
        class Refusing(ZeroDivisionError):
            def add_note(self, note: str, /) -> None:
                raise TypeError

        def fail() -> None:
            raise Refusing

        assert notes(annotate_exceptions(user), fail) == []

    def test_notes_that_are_not_a_list(self) -> None:
        def fail() -> None:
            error = ZeroDivisionError()
            error.__notes__ = 7  # type: ignore[assignment]
            raise error

        with pytest.raises(ZeroDivisionError), annotate_exceptions(user):
            fail()


class TestDecorator:
    def noted(self, error: BaseException) -> list[str]:
        return getattr(error, "__notes__", [])

    def test_a_function(self) -> None:
        @annotate_exceptions(user)
        def divide(number: int) -> float:
            """Divide."""
            return 1 / number

        assert (divide(1), divide.__name__, divide.__doc__) == (1.0, "divide", "Divide.")
        with user.scope("Ada"), pytest.raises(ZeroDivisionError) as raised:
            divide(0)
        assert self.noted(raised.value) == ["context variables: user = 'Ada'"]

    def test_a_recursive_function_adds_one_note(self) -> None:
        @annotate_exceptions(user)
        def descend(depth: int) -> float:
            return descend(depth - 1) if depth else 1 / 0

        with user.scope("Ada"), pytest.raises(ZeroDivisionError) as raised:
            descend(9)
        assert len(self.noted(raised.value)) == 1

    def test_a_coroutine_function(self) -> None:
        @annotate_exceptions(user)
        async def fail() -> None:
            await asyncio.sleep(0)
            raise ZeroDivisionError

        with user.scope("Ada"), pytest.raises(ZeroDivisionError) as raised:
            asyncio.run(fail())
        assert self.noted(raised.value) == ["context variables: user = 'Ada'"]

    def test_a_generator_function(self) -> None:
        @annotate_exceptions(user)
        def count() -> Generator[int, int, str]:
            sent = yield 1
            try:
                yield sent
            except KeyError:
                raise ZeroDivisionError from None
            return "end"

        body = count()
        assert (next(body), body.send(2)) == (1, 2)
        with pytest.raises(StopIteration) as stopped:
            next(body)
        assert stopped.value.value == "end"
        body = count()
        next(body)
        body.send(2)
        with user.scope("Ada"), pytest.raises(ZeroDivisionError) as raised:
            body.throw(KeyError())
        assert self.noted(raised.value) == ["context variables: user = 'Ada'"]

    def test_an_async_generator_function_is_refused(self) -> None:
        async def rows() -> AsyncIterator[int]:
            yield 1

        with pytest.raises(TypeError, match="write `with annotate_exceptions"):
            annotate_exceptions()(rows)


class TestArguments:
    @pytest.mark.parametrize("variable", [1, "user"])
    def test_variables(self, variable: Any) -> None:
        with pytest.raises(TypeError, match=r"^annotate_exceptions\(\) argument must be a"):
            annotate_exceptions(variable)

    @pytest.mark.parametrize("redact", ["user", [1]])
    def test_redact(self, redact: Any) -> None:
        with pytest.raises(TypeError, match="argument 'redact' must"):
            annotate_exceptions(redact=redact)

    def test_function(self) -> None:
        function: Any = 1
        with pytest.raises(TypeError, match="argument 'function' must be callable, got 1"):
            annotate_exceptions()(function)
