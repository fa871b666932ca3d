"""Hooks that other libraries call, so that `Map` and `Set` work in them.

A module is imported by the first call of its hook, which comes from the library itself. So
`import ctxvars` imports none of the libraries. The types name their hooks as the libraries ask for:
`__get_pydantic_core_schema__`, `_repr_pretty_`, `__dask_tokenize__`. Hypothesis finds its module by
an entry point.
"""
