"""What can be tested."""

from __future__ import annotations

from typing import NamedTuple

from ctxvars._fuzz.classes_programs import ClassesPrograms
from ctxvars._fuzz.contextvars_programs import ContextvarsPrograms
from ctxvars._fuzz.map_programs import MapPrograms
from ctxvars._fuzz.writing import Writing


class Subject(NamedTuple):
    """What writes the programs, the module that does right by definition, and ours."""

    machine: type[Writing]
    against: str
    module: str = "ctxvars"


SUBJECTS = {
    "contextvars": Subject(ContextvarsPrograms, "contextvars"),
    "map": Subject(MapPrograms, "ctxvars._fuzz.dict_map"),
    "classes": Subject(ClassesPrograms, "builtins", "ctxvars.classes"),
}
