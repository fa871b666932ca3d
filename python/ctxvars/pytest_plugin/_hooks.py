"""The hooks of pytest around each fixture and each test, if the plugin is on."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import TYPE_CHECKING, Any

import pytest

from ctxvars import _core
from ctxvars.pytest_plugin._current import drop_defaults, made_defaults
from ctxvars.pytest_plugin._functions import (
    async_fixture,
    async_test,
    bound_fixture,
    hypothesis_test,
    replaced,
)
from ctxvars.pytest_plugin._isolation import Isolation
from ctxvars.pytest_plugin._leaks import Call, Recorder, message

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class Hooks:
    """Register an instance to isolate the tests of a session.

    Each hook is outside of those of other plugins: what they set while a test is set up, called and
    torn down is undone after the test.
    """

    def __init__(self, config: pytest.Config, mode: str) -> None:
        self._mode = mode
        self._root = config.rootpath
        self.isolation = Isolation()
        self._call: Call | None = None
        self._defaults = made_defaults()

    def pytest_report_header(self) -> str:
        return f"ctxvars: {self._mode}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self._call = None
        self._defaults = made_defaults()
        with self.isolation.owned_by(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        function = fixturedef.func
        is_async = iscoroutinefunction(function) or isasyncgenfunction(function)
        # It is the first finalizer, so it is the last one that pytest calls.
        request.addfinalizer(partial(self._end_fixture, fixturedef, is_async=is_async))
        with self.isolation.owned_by(fixturedef), self._defaults_of(fixturedef):
            if not is_async:
                return (yield)
            ours = async_fixture(bound_fixture(function, request.instance), self)
            try:
                with replaced(fixturedef, "func", ours):
                    return (yield)
            finally:
                self.isolation.show()

    @contextmanager
    def _defaults_of(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Keep the defaults that a fixture has caused to be made, if it outlives the test."""
        if fixturedef.scope == "function":
            yield
            return
        before = made_defaults()
        yield
        self._defaults |= {
            variable: value
            for variable, value in made_defaults().items()
            if before.get(variable) is not value
        }

    def _end_fixture(self, fixturedef: pytest.FixtureDef[Any], *, is_async: bool) -> None:
        # pytest-asyncio has reset native variables here, and thereby values of other fixtures. An
        # async fixture has not made these changes. Those that it made are in `end_async_fixture`.
        if not is_async:
            self._forget_cleaned()
        self.isolation.release(fixturedef)

    def _forget_cleaned(self) -> None:
        """Drop what the test has set, if a finalizer has changed it since."""
        touched = self.isolation.touched()
        if self._call is not None and touched:
            self.isolation.layers.forget(self._call, touched)

    @contextmanager
    def end_async_fixture(self) -> Iterator[None]:
        """Around the end of an async fixture, in its task."""
        self.isolation.show()
        try:
            yield
        finally:
            self._forget_cleaned()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        call = self._call = Call(self._mode_of(item) == "check")
        recorder = Recorder() if call.checks else None
        try:
            with self.isolation.owned_by(call), self._replaced_test(item, call):
                try:
                    return (yield)
                except BaseException:
                    call.failed = True
                    raise
        finally:
            # A test of unittest keeps its exceptions here.
            call.failed |= bool(getattr(item, "_excinfo", None))
            if recorder is not None:
                recorder.stop()
                if call.left or self.isolation.layers.changes_of(call):
                    call.places = recorder.places(call.context)

    def _mode_of(self, item: pytest.Item) -> str:
        marker = item.get_closest_marker("ctxvars")
        if marker is None:
            return self._mode
        if marker.kwargs or marker.args not in [("isolate",), ("check",)]:
            pytest.fail('the marker is ctxvars("isolate") or ctxvars("check")', pytrace=False)
        mode: str = marker.args[0]
        return mode

    @contextmanager
    def _replaced_test(self, item: pytest.Item, call: Call) -> Iterator[None]:
        """Replace a test function that runs in another context, or runs several times."""
        testcase = getattr(item, "_testcase", None)
        unittest_context = getattr(testcase, "_asyncioTestContext", None)
        function = getattr(item, "obj", None)
        handle = getattr(function, "hypothesis", None)
        try:
            if unittest_context is not None:
                # IsolatedAsyncioTestCase copies the context before there are any fixtures.
                unittest_context.run(self.isolation.show)
                try:
                    yield
                finally:
                    unittest_context.run(self.end_of_call, call)
            elif handle is not None:
                ours = hypothesis_test(handle.inner_test, self, call)
                with replaced(handle, "inner_test", ours):
                    yield
            elif testcase is None and iscoroutinefunction(function):
                with replaced(item, "obj", async_test(function, self, call)):
                    yield
            else:
                try:
                    yield
                finally:
                    self.end_of_call(call)
        finally:
            self.isolation.show()

    def end_of_call(self, call: Call) -> None:
        """Account for the changes of the test, in the context in which it has run."""
        self.isolation.account()
        call.context = _core.recording_position()[1]

    @contextmanager
    def example(self, call: Call) -> Iterator[None]:
        """Around an example of Hypothesis: the next one does not see what it has set."""
        self.isolation.show()
        defaults = made_defaults()
        try:
            yield
        except BaseException:
            # Examples that `assume` rejects may leave variables.
            self.isolation.account()
            raise
        else:
            self.end_of_call(call)
            call.left |= self.isolation.layers.changes_of(call)
        finally:
            self.isolation.release(call)
            drop_defaults(but=defaults)

    @contextmanager
    def async_call(self, call: Call) -> Iterator[None]:
        """Around an async test, in its task."""
        self.isolation.show()
        defaults = made_defaults()
        try:
            yield
        finally:
            self.end_of_call(call)
            drop_defaults(but=defaults)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        self.isolation.account()
        try:
            result = yield
        finally:
            self._forget_cleaned()
            call, left = self._call, {}
            if call is not None:
                left = call.left | self.isolation.layers.changes_of(call)
                self.isolation.layers.remove(call)
            self.isolation.release(item)
            drop_defaults(but=self._defaults)
            self._call = None
        if call is not None and call.checks and not call.failed and left:
            pytest.fail(message(call, left, self._root), pytrace=False)
        return result
