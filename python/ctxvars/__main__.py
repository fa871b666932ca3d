"""`python -m ctxvars`; everything is in `ctxvars._cli`.

Nothing else belongs here: `run` empties this module's namespace and gives it to the program.
"""

from ctxvars._cli.run import main

if __name__ == "__main__":
    main()
