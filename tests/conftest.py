"""What tests share: a profile of hypothesis, and fixtures."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.loops import LOOPS, Loop, loop_named
from tests.support.user_variables import NOBODY, both

# For `make test-all`: what takes long on one interpreter is done in part on all of them. Tests that
# are quick make as many examples as ever.
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
def nobody() -> Iterator[None]:
    """What a test sets of `user_variables` does not reach the next one."""
    yield
    assert both() == NOBODY
