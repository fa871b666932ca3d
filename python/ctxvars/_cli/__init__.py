"""The command line, `python -m ctxvars`."""
