"""Differential fuzzing: `python -m ctxvars fuzz`.

Hypothesis writes programs, one statement with each step of a state machine (`writing`, and for each
subject a file of its operations); a program is a script (`program`) that carries along the helpers
that it calls (`steps`). It is run on both modules (`compare`), in some processes for some time
(`campaign`); what makes a difference is made small (`shrinking`), and what came of it is shown
(`command`).
"""
