"""Runs the tests of other maps on `ctxvars.Map`, and records how they end.

Those of the package immutables run on `ctxvars.immutables`.

`test_maps.py` starts this script in a new process, because it changes modules of other packages.
"""

import argparse
import ast
import importlib
import importlib.util
import re
import sys
import unittest
from types import ModuleType

from adapted_maps import Hamt, Versions
from unittest_record import Record, tests_in

import ctxvars


def spelled_as_immutables(value: object) -> str:
    # In these tests, the representation of a map within itself is `{...}`.
    text = repr(value).replace("ctxvars.Map({...})", "{...}")
    return text.replace("ctxvars.Map", "immutables.Map")


class DictDisplays(ast.NodeTransformer):
    """Replaces `{key: value}` in a source by a call of `dict`, which a module may replace."""

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        self.generic_visit(node)
        call = ast.Call(ast.Name("dict", ast.Load()), [node], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def without_dicts(name: str) -> ModuleType:
    """Import a module in which each dict display makes a `Versions`."""
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    module.dict = Versions
    tree = ast.parse(spec.loader.get_source(name))
    exec(compile(DictDisplays().visit(tree), spec.origin, "exec"), vars(module))
    return module


def load(name: str) -> ModuleType:
    """Import a module of tests, with `ctxvars.Map` in the place of the map that it tests."""
    if name.startswith("tests."):
        # The pure Python version of the package. The C version needs compiling.
        importlib.import_module("immutables.map").Map = ctxvars.immutables.Map
    module = importlib.import_module(name)
    if name.startswith("tests."):
        module.repr = spelled_as_immutables
    elif name == "test.test_context":
        module.hamt = Hamt
        # Interpreters that do not expose their own map skip these tests.
        module.HamtTest.__unittest_skip__ = False
    elif name == "test.test_dict":
        module.frozendict = module.FrozenDictMappingTests.type2test = ctxvars.Map
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=argparse.FileType("w"), help="the file to write")
    parser.add_argument("module", help="the module of tests")
    parser.add_argument("classes", help="pattern of the test classes to run")
    parser.add_argument("--path", help="where to find the module")
    parser.add_argument("--displays", action="store_true", help="make each dict a Versions")
    parser.add_argument("--original", action="store_true", help="leave the map that is tested")
    options = parser.parse_args()

    if options.path:
        sys.path.append(options.path)
    if options.original:
        module = importlib.import_module(options.module)
    elif options.displays:
        module = without_dicts(options.module)
    else:
        module = load(options.module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    chosen = [
        test for test in tests_in(suite) if re.fullmatch(options.classes, type(test).__name__)
    ]
    with options.record as file:
        unittest.TestSuite(chosen).run(Record(file))


if __name__ == "__main__":
    main()
