"""Portable variables: context variables that travel to other processes and machines.

A context cannot leave its process. The values of variables can, if each variable is declared:

    tenant = ctxvars.portable(ContextVar("tenant"), "acme.tenant")

    class Request(ctxvars.Group):
        user: str = ctxvars.group_field(default="", portable="acme.user")

Only declared variables travel, and only values that are set: defaults stay at home. There are two
encodings, split by trust:

| | text | pickle |
| --- | --- | --- |
| carrier | the header `baggage` of W3C, environment variables | the pickle of a call |
| from | any peer | the program itself: calls are pickled anyway |
| functions | `inject`, `extract` | `carry`, `ContextProcessPoolExecutor`, `ContextProcess` |
| values | what the codec of the variable accepts | whatever can be pickled |
| a value that cannot be read | is dropped, counted and logged once | raises |

A declaration has a level, `to`, the farthest place that the values may reach: "process" (other
processes of the program), "internal" (services of the same owner, the default) or "public".

| module | concept |
| --- | --- |
| `declaration.py` | `Portable` and `portable`: how a variable travels |
| `registry.py` | all declarations of the process; the tables that the hot paths iterate over |
| `codecs.py` | values to text and back |
| `fields.py` | portable fields of groups |
| `headers/baggage.py` | the grammar and the limits of the header |
| `headers/values.py` | the objects that keep headers |
| `headers/inject.py`, `headers/extract.py` | writing and reading headers |
| `headers/signing.py` | `Signer`: HMAC over the members of a header |
| `processes/payload.py` | the values as a pickle, and the context that a job runs in |
| `processes/carry.py` | `carry`: a function that is pickled with the values |
| `processes/pool.py`, `processes/process.py` | executors and processes |
| `processes/environment.py` | environment variables of subprocesses |
| `deadlines.py` | `deadline`: a portable variable whose value is the remaining time |

A worker never shows a job the values of another one. `extract` and `carry` take away the value of
each declared variable that was not sent (`clear_missing`). The workers of a
`ContextProcessPoolExecutor` run each job in a context without the values that a fork inherits.
"""
