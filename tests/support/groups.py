"""A validator and a fixture for the tests of groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def positive(number: int) -> None:
    """Accept a value of a field, or raise."""
    if number <= 0:
        raise ValueError(f"{number} is not positive")


def unset_afterwards(variables: Iterable[Any]) -> Iterator[None]:
    """Run a test that begins and ends with none of the variables set: the body of a fixture."""
    variables = list(variables)
    assert not any(variable.is_set() for variable in variables)
    yield
    for variable in variables:
        if variable.is_set():
            variable.delete()
