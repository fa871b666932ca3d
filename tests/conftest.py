"""Fixtures and the profile of hypothesis that all tests share."""

import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import settings

from tests.support.isolation.user_variables import UNSET, both
from tests.support.loops import LOOPS, Loop, loop_named

with suppress(ImportError):
    from greenlet._greenlet import enable_optional_cleanup

    # It frees main greenlets to which only frozen objects refer: see `ctxvars.fuzz.compare`.
    enable_optional_cleanup(False)

# For runs on several interpreters, such as `make test-all`. Tests that set the number of their
# examples themselves are quick, and keep it.
settings.register_profile("few", max_examples=25)


@pytest.fixture(scope="module", autouse=True)
def _freeze_old_objects() -> None:
    """Hide from the collector what pytest, hypothesis and earlier tests have made.

    Many tests collect, and most of the time would go into these objects, which are not garbage.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """Hide all objects that were made before this test, which counts objects or collects often."""
    gc.collect()
    gc.freeze()
    yield
    assert gc.isenabled()


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return loop_named(request.param)


@pytest.fixture
def users_are_unset_afterwards() -> Iterator[None]:
    """Check that a test has not left a value in the variables of `user_variables`."""
    yield
    assert both() == UNSET
