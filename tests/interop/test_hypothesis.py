"""Hypothesis makes maps and sets from their types, and by `ctxvars.strategies`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from ctxvars import Map, Set
from ctxvars._interop.hypothesis import register
from ctxvars.strategies import maps, sets
from tests.integration.entry_points import install_entry_points

register()


@given(st.from_type(Map[str, int]))
def test_maps_of_a_type_have_keys_and_values_of_the_types(map: Any) -> None:
    assert type(map) is Map
    assert all(type(key) is str and type(value) is int for key, value in map.items())


@given(st.from_type(Set[Map[bool, bool]]))
def test_types_may_be_nested(elements: Any) -> None:
    assert type(elements) is Set
    assert all(type(element) is Map for element in elements)


@given(st.from_type(Map), st.from_type(Set))
def test_types_without_arguments_have_hashable_contents(map: Any, elements: Any) -> None:
    hash(map)
    hash(elements)


def test_maps_are_among_the_mappings() -> None:
    found = find(st.from_type(Mapping[int, int]), lambda it: type(it) is Map)
    assert found == {}
    assert find(st.from_type(Hashable), lambda it: type(it) is Map) == {}


@given(st.from_type(Collection[int]))
@settings(max_examples=20)
def test_other_abstract_types_still_work(collection: Any) -> None:
    assert len(collection) >= 0


@given(maps(st.integers(), st.text(), min_size=1, max_size=3))
def test_maps_have_the_given_sizes(map: Map[int, str]) -> None:
    assert 1 <= len(map) <= 3


@given(sets(st.integers(), min_size=1, max_size=3))
def test_sets_have_the_given_sizes(elements: Set[int]) -> None:
    assert 1 <= len(elements) <= 3


def test_the_smallest_examples_are_found() -> None:
    assert find(maps(st.integers(), st.integers()), lambda map: len(map) > 0) == {0: 0}
    assert find(sets(st.integers()), lambda elements: len(elements) > 1) == {0, 1}


@pytest.mark.slow
def test_hypothesis_registers_the_types_when_it_is_imported(tmp_path: Path) -> None:
    install_entry_points(tmp_path, "hypothesis")
    source = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from hypothesis import find, strategies as st
from ctxvars import Map
found = find(st.from_type(Map[str, int]), lambda map: len(map) > 0)
assert found == {{"": 0}}, found
"""
    subprocess.run([sys.executable, "-c", source], check=True, cwd=tmp_path)
