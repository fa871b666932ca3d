"""`Map` under the names of the package `immutables`: change `import immutables` to this module.

>>> from ctxvars import immutables
>>> immutables.Map(a=1).set("b", 2) == immutables.Map(a=1, b=2)
True

The classes are those of `ctxvars`. They have the methods of `immutables` 0.21, with the same
arguments, results and exceptions, and pass its tests, with the exceptions that are listed in
`docs/how-to/from-immutables-and-frozendict.md`.
"""

from ctxvars._core import Map as Map
from ctxvars._core import MapItems as MapItems
from ctxvars._core import MapKeys as MapKeys
from ctxvars._core import MapMutation as MapMutation
from ctxvars._core import MapValues as MapValues

# As in `immutables`, the other names are for annotations.
__all__ = ["Map"]
