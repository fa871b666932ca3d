"""Properties of the build of the running interpreter."""

import sysconfig

from ctxvars import _core

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# Whether variables are set in place: see `src/python/context/native_layout/mod.rs`.
IN_PLACE = _core.not_in_place is None
