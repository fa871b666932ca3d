"""The subjects that can be tested."""

from __future__ import annotations

from typing import NamedTuple

from ctxvars.fuzz.machine import ProgramMachine
from ctxvars.fuzz.subjects.classes_machine import ClassesMachine
from ctxvars.fuzz.subjects.contextvars_machine import ContextvarsMachine
from ctxvars.fuzz.subjects.map_machine import MapMachine


class Subject(NamedTuple):
    """The machine that generates programs, the reference module, and the module under test."""

    machine: type[ProgramMachine]
    against: str
    module: str = "ctxvars"


SUBJECTS = {
    "contextvars": Subject(ContextvarsMachine, "contextvars"),
    "map": Subject(MapMachine, "ctxvars.fuzz.subjects.reference_map"),
    "classes": Subject(ClassesMachine, "builtins", "ctxvars.classes"),
}
