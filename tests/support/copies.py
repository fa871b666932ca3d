"""Ways to copy an object, by name: the functions of `copy`, and each protocol of `pickle`."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": partial(pickle.dumps, protocol=n) for n in range(6)},
}
