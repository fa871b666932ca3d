"""Differential fuzzing: `python -m ctxvars fuzz`.

Hypothesis generates programs, one statement with each step of a state machine (`machine`, and a
machine for each subject in `subjects`). A program is a script (`program`), which contains the
helper functions that it calls (`runtime`). It runs on two modules (`compare`), in several processes
for some time (`campaign`). A program with different output is made smaller (`shrinking`). `command`
is the command line.
"""
