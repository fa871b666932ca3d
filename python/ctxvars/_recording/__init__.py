"""Recordings of context variables: which code has set which variable, when, in which context.

`_core` keeps the newest events in a ring while a recording is on. `record` switches it on and
returns a `Timeline`. `events` turns the rows of `_core` into objects, and `timeline` answers
questions about them. `spans` computes from when to when each value was there, and `files` writes
and reads recordings as JSON, with `trace_events` for Perfetto and other viewers.
"""
