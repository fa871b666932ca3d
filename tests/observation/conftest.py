"""A recording, and a variable, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ctxvars import ContextVar, _core


@pytest.fixture
def recording() -> Iterator[None]:
    _core.start_recording(1000, False)
    yield
    _core.stop_recording()


@pytest.fixture
def variable() -> ContextVar[Any]:
    return ContextVar("variable")
