"""Fixtures for declarations, which are permanent otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from ctxvars._portable import registry
from ctxvars._portable.headers import extract


@pytest.fixture(autouse=True)
def _declarations_are_undone() -> Iterator[None]:
    registry.tables()
    declared, dropped = dict(registry._declared), Counter(extract._dropped)
    yield
    registry._declared.clear()
    registry._declared.update(declared)
    registry._tables = None
    extract._dropped.clear()
    extract._dropped.update(dropped)
