"""Printing in IPython and Jupyter, which cut long dicts and sets."""

from __future__ import annotations

from typing import Any

from ctxvars._core import Map, Set


def pretty_map(map: Map[Any, Any], printer: Any, cycle: bool) -> None:
    """Print a map as its class, called with a dict."""
    if cycle:
        printer.text("ctxvars.Map({...})")
        return
    with printer.group(len("ctxvars.Map("), "ctxvars.Map(", ")"):
        printer.pretty(dict(map))


def pretty_set(set_: Set[Any], printer: Any, cycle: bool) -> None:
    """Print a set as its class, called with a set."""
    if cycle:
        printer.text("ctxvars.Set({...})")
        return
    with printer.group(len("ctxvars.Set("), "ctxvars.Set(", ")"):
        if set_:
            printer.pretty(set(set_))
