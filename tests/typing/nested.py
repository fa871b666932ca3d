"""Nested maps as a type checker sees them. They also run: see `tests/typing/examples.py`."""

from __future__ import annotations

from typing import Any, assert_type

from ctxvars import Map, MapMutation, freeze, thaw


def paths() -> None:
    config = Map(server=Map(port=80))
    assert_type(config.get_in(["server", "port"]), Any)
    assert_type(config.set_in(("server", "port"), 8080), Map[str, Any])
    assert_type(config.update_in(["server", "port"], str), Map[str, Any])
    assert_type(config.delete_in(iter(["server", "port"])), Map[str, Any])
    assert_type(config.merge_deep({"server": {"port": 1}}), Map[str, Any])
    assert_type(config.merge_deep({}, resolve=lambda path, old, new: old), Map[str, Any])


def conversions() -> None:
    assert_type(freeze({"a": [1]}), Any)
    assert_type(thaw(Map(a=1)), Any)


def mutations() -> None:
    mutation = Map(a=1).mutate()
    assert_type(mutation.copy(), MapMutation[str, int])
    assert_type(mutation | {"b": 2}, MapMutation[str, int])
    mutation |= [("c", 3)]
    assert_type(mutation, MapMutation[str, int])


if __name__ == "__main__":
    paths()
    conversions()
    mutations()
