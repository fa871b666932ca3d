"""An application loses a value in eight ways, and does not with the remedy that `why` names."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from tests.support.lost_values import WAYS, app_for, request, user

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


LOOKED: Any = multiprocessing.get_context("fork").SimpleQueue()


def look() -> None:
    LOOKED.put(user.get(None))


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_lost_without_the_remedy(way: str) -> None:
    request(app_for(way, look, remedied=False))
    assert LOOKED.get() is None


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_there_with_the_remedy(way: str) -> None:
    request(app_for(way, look, remedied=True))
    assert LOOKED.get() == "Ada"
