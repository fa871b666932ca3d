"""What can be tested."""

from __future__ import annotations

from typing import NamedTuple

from ctxvars.fuzz.machine import Writing
from ctxvars.fuzz.subjects.classes_machine import ClassesPrograms
from ctxvars.fuzz.subjects.contextvars_machine import ContextvarsPrograms
from ctxvars.fuzz.subjects.map_machine import MapPrograms


class Subject(NamedTuple):
    """What writes the programs, the module that does right by definition, and ours."""

    machine: type[Writing]
    against: str
    module: str = "ctxvars"


SUBJECTS = {
    "contextvars": Subject(ContextvarsPrograms, "contextvars"),
    "map": Subject(MapPrograms, "ctxvars.fuzz.subjects.reference_map"),
    "classes": Subject(ClassesPrograms, "builtins", "ctxvars.classes"),
}
