"""cloudpickle sends groups of `__main__` and of functions by value."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

import ctxvars
from ctxvars._groups import fields as group_fields

cloudpickle = pytest.importorskip("cloudpickle")

# Definitions of a notebook or script.
MAIN = """
import sys
import cloudpickle
import ctxvars

def positive(number):
    if number <= 0:
        raise ValueError(f"{number} is not positive, says {Settings.__name__}")

class Settings(ctxvars.Group):
    zone: str = "UTC"
    locale: str
    Upper: int = 1
    tags: list[str] = ctxvars.group_field(default_factory=lambda: [Settings.zone])
    digits: int = ctxvars.group_field(default=6, validate=positive)
    LIMIT = 10

    def describe(self):
        return f"{self.zone} {Settings.digits} {self.LIMIT}"

class Derived(Settings):
    zone: str = "GMT"
    extra: int = 2

zone = Settings.variables["zone"]
Settings.digits = 3

def work():
    seen = [Settings.zone, Derived.zone, Settings.tags, Settings.digits, Settings().describe()]
    with Derived(digits=4, extra=5, locale="de"):
        seen += [Settings.digits, Derived.extra, Settings.locale, hasattr(Settings, "zone")]
    with zone.scope("CET"):
        seen.append(Settings.zone)
    try:
        Settings.digits = -1
    except ValueError as error:
        seen += [str(error), *error.__notes__]
    seen += [[*Settings.variables], [*Derived.variables], hasattr(Settings, "locale")]
    seen += [zone.name, zone is Settings.variables["zone"]]
    seen.append(Derived.variables["digits"] is Settings.variables["digits"])
    return seen
"""
DUMP = "sys.stdout.buffer.write(cloudpickle.dumps((work, Settings(zone='EST'), Derived)))"
LOAD = """
import pickle
import sys

work, instance, Derived = pickle.load(sys.stdin.buffer)
with instance:
    print(type(instance).zone)
print(*work(), sep="\\n")
"""
EXPECTED = """\
EST
UTC
GMT
['UTC']
6
UTC 6 10
4
5
de
True
CET
-1 is not positive, says Settings
while setting Settings.digits
['zone', 'locale', 'Upper', 'tags', 'digits']
['zone', 'extra', 'locale', 'Upper', 'tags', 'digits']
False
__main__.Settings.zone
True
True
"""


def run(code: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run([sys.executable, "-c", code], input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_group_of_main_is_sent_to_another_process() -> None:
    assert run(LOAD, run(MAIN + DUMP)).decode() == EXPECTED


def test_a_group_that_is_sent_back_stays_the_same() -> None:
    back = """
before = Settings, Settings.variables["zone"], Settings.variables["digits"], vars(Settings)
assert cloudpickle.loads(cloudpickle.dumps(Settings)) is Settings
assert (Settings, Settings.variables["zone"], Settings.variables["digits"]) == before[:3]
assert Settings.digits == 3
assert Settings.zone == "UTC"
assert cloudpickle.loads(cloudpickle.dumps(zone)) is zone
again = cloudpickle.loads(cloudpickle.dumps(Settings.snapshot()))
assert repr(again) == "Settings(digits=3)"
"""
    run(MAIN + back)


def test_a_group_is_sent_on() -> None:
    send_on = "import pickle, sys, cloudpickle; it = pickle.load(sys.stdin.buffer); "
    send_on += "sys.stdout.buffer.write(cloudpickle.dumps(it))"
    assert run(LOAD, run(send_on, run(MAIN + DUMP))).decode() == EXPECTED


def test_a_variable_that_the_group_itself_refers_to_is_explained() -> None:
    code = """
class Alone(ctxvars.Group):
    zone: str = "UTC"

    def read(self):
        return alone.get()

alone = Alone.variables["zone"]
sys.stdout.buffer.write(cloudpickle.dumps(Alone))
"""
    with pytest.raises(pickle.UnpicklingError, match=r"in methods of the group, write Alone\.var"):
        # This process does not have the class.
        pickle.loads(run(MAIN + code))


def test_a_group_of_a_function_is_sent_with_all_that_it_has() -> None:
    class Local(ctxvars.Group):
        value: list[int] = ctxvars.group_field(default_factory=list)

    Local.value = [1]
    sent: Any = pickle.loads(cloudpickle.dumps((Local, Local.snapshot())))
    assert (
        sent[0] is Local
    )  # In the process that it comes from, cloudpickle returns the original class.
    assert repr(sent[1]).endswith("Local(value=[1])")
    del Local.value


def test_declarations_are_no_values_of_fields() -> None:
    class Local(ctxvars.Group):
        value: int = 1

    fields = Local.__group_fields__
    assert type(pickle.loads(pickle.dumps(fields))) is group_fields.Declarations
    with pytest.raises(TypeError, match="which is not a value"):
        Local(value=pickle.loads(pickle.dumps(vars(Local)["value"])))
