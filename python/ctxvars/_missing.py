"""`MISSING`: stands for a value that is not there."""

import copyreg
from _contextvars import Token as _NativeToken

from ctxvars._core import Token

TYPE_CHECKING = False  # as in `__init__.py`

if TYPE_CHECKING:
    from typing import Final

MISSING: "Final" = Token.MISSING

# By itself the object cannot be pickled or copied. The reference is to the class of the standard
# library, so that it can be read without ctxvars, too.
copyreg.pickle(type(MISSING), lambda _: (getattr, (_NativeToken, "MISSING")))
