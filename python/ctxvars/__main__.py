"""`python -m ctxvars`: see `ctxvars._cli`.

This module contains nothing else, because `run` clears its namespace for the program.
"""

from ctxvars._cli.main import main

if __name__ == "__main__":
    main()
