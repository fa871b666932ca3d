"""Tokens of dask, which do not depend on the order of iteration, and so not on the hash seed."""

from __future__ import annotations

from typing import Any

from dask.tokenize import normalize_token

from ctxvars._core import Map, Set


def token_of_map(map: Map[Any, Any]) -> tuple[str, Any]:
    """Return what dask makes the token of a map of: the entries, sorted as those of a dict."""
    return "ctxvars.Map", normalize_token(dict(map))


def token_of_set(set_: Set[Any]) -> tuple[str, Any]:
    """Return what dask makes the token of a set of: the elements, sorted as those of a set."""
    return "ctxvars.Set", normalize_token(set(set_))
