"""The modules that an import loads, imports that fail, and interpreters that cannot import."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ctxvars

PACKAGE = str(Path(ctxvars.__file__).parents[1])


def run(program: str, *arguments: str) -> str:
    """Run a program, check that it exits without an error, and return its output."""
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


LOADED = """
import sys
before = set(sys.modules)
import ctxvars
print(*sorted(set(sys.modules) - before))
"""


def test_an_import_loads_no_large_modules() -> None:
    own = {"ctxvars", "ctxvars._core", "ctxvars._missing"}
    loaded = set(run(LOADED).split())
    # Not `typing`, `dataclasses`, `functools`, `enum`, `re` and so on: these take longer to import
    # than ctxvars does.
    assert loaded - {"_contextvars", "copyreg"} == own


READ_PICKLES = """
import pickle, sys, ctxvars
assert "ctxvars._map.diff" not in sys.modules
print(*pickle.loads(bytes.fromhex(sys.argv[1])))
"""


def test_pickles_load_the_modules_that_an_import_leaves_out() -> None:
    base, ours, theirs = ctxvars.Map(a=1), ctxvars.Map(a=2), ctxvars.Map(a=3)
    diff = base.diff(ours)
    with pytest.raises(ctxvars.MergeConflict) as raised:
        base.merge(ours, theirs)
    things = [diff, *diff, raised.value.conflicts[0], ctxvars.MergeConflict]
    printed = run(READ_PICKLES, pickle.dumps(things).hex())
    assert printed == " ".join(map(str, things)) + "\n"


IMPORT_WITHOUT_MEMORY = """
import gc, os, sys, _contextvars, _testcapi
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

# CPython 3.11 crashes if memory is short for the first context of a process.
_contextvars.Context()
loader = ExtensionFileLoader("ctxvars._core", sys.argv[1])

def module():
    return module_from_spec(spec_from_file_location(loader.name, loader.path, loader=loader))

def first_import(failing):
    core = module()
    _testcapi.set_nomemory(failing, failing + 1)
    try:
        loader.exec_module(core)
    except MemoryError:
        return False
    finally:
        _testcapi.remove_mem_hooks()
    return True

def use(core):
    variable = core.ContextVar("v")
    token = variable.set([1])
    assert token.old_value is core.Token.MISSING
    variable.reset(token)
    m = core.Map({i: i for i in range(100)})
    m.mutate()[0] = 1
    assert m[5] == 5 and len(list(m.items())) == 100 and len(repr(m.keys())) > 100
    core.Context().run(int)
    with core.scope({variable: 1}): pass
    assert next(core.isolate((i for i in [1]), None, False)) == 1

failing = 0
while True:
    child = os.fork()
    if not child:
        gc.disable()  # what CPython leaves behind must not be traversed
        done = first_import(failing)
        core = module()
        loader.exec_module(core)
        use(core)
        os._exit(0 if done else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, 3):
        print("allocation", failing, "status", status)
    if status == 0 and failing > 50:
        break
    failing += 3  # all of them take seconds
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each import is made in a fork")
@pytest.mark.skipif(
    sys.version_info[:2] == (3, 13),
    reason="a dict of CPython that could not grow is broken: making a type crashes later",
)
def test_the_next_import_succeeds_after_one_for_which_memory_was_short() -> None:
    pytest.importorskip("_testcapi")
    core = importlib.import_module("ctxvars._core")
    assert run(IMPORT_WITHOUT_MEMORY, str(core.__file__)) == ""


SUBINTERPRETER = """
import sys
try:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=False)
except ImportError:
    import _interpreters as interpreters
    create = lambda: interpreters.create("legacy")
source = f'''
import sys
sys.path[:] = {sys.path!r}
for _ in range(2):
    try:
        import ctxvars
    except ImportError as error:
        print(error)
'''
created = create()
interpreters.run_string(created, source)
import ctxvars
variable = ctxvars.ContextVar("v")
variable.set(1)
interpreters.run_string(created, source)
interpreters.destroy(created)
print(variable.get(), ctxvars.Map(a=1)["a"])
"""


def test_a_subinterpreter_that_imports_first_leaves_the_main_one_free() -> None:
    lines = run(SUBINTERPRETER).splitlines()
    refused = (
        "ctxvars works in the main interpreter only: in a subinterpreter, use contextvars and pass "
        "values as arguments, or run the code in a thread or process"
    )
    assert sorted(lines) == ["1 1", *[refused] * 4]


EMBEDDING = r"""
#include <Python.h>
int main(void) {
    for (int i = 0; i < 3; i++) {
        Py_Initialize();
        PyRun_SimpleString(
            "import sys; sys.path.insert(0, PACKAGE)\n"
            "try:\n"
            "    import ctxvars\n"
            "    print(ctxvars.Map(a=1)['a'], flush=True)\n"
            "except ImportError as error: print(error, flush=True)\n");
        Py_FinalizeEx();
    }
    return 0;
}
"""


def test_an_interpreter_that_is_initialised_again_cannot_have_it(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    libraries = sysconfig.get_config_var("LIBDIR")
    has_headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    if compiler is None or not has_headers or not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("needs a C compiler, Python's headers and a shared libpython")
    source, program = tmp_path / "embed.c", tmp_path / "embed"
    source.write_text(EMBEDDING.replace("PACKAGE", repr(PACKAGE)))
    version = sysconfig.get_config_var("LDVERSION")
    build = [
        *(compiler, str(source), "-o", str(program), f"-I{sysconfig.get_path('include')}"),
        *(f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-lpython{version}"),
    ]
    subprocess.run(build, check=True)
    environment = {"PYTHONHOME": sys.base_prefix}
    ran = subprocess.run([program], capture_output=True, text=True, env=environment, timeout=60)
    again = "ctxvars cannot be used again after Py_Finalize: start a new process"
    assert (ran.returncode, ran.stdout.splitlines()) == (0, ["1", again, again])
