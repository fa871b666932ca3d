"""Serialisers take maps and sets, with the lines of docs/how-to/maps-in-other-libraries.md."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ctxvars import Map, Set, thaw

NESTED = Map(name="shop", limits=Map(users=10))
PLAIN = {"name": "shop", "limits": {"users": 10}}


def test_json_writes_maps_by_a_default() -> None:
    assert json.loads(json.dumps(NESTED, default=dict)) == PLAIN


def test_replace_returns_a_map_with_other_values() -> None:
    map = Map(a=1, b=2)
    assert map.__replace__(b=3, c=4) == {"a": 1, "b": 3, "c": 4}
    assert map.__replace__(a=1) is map
    assert map.__replace__() is map
    with pytest.raises(TypeError, match="expected 0 arguments"):
        map.__replace__({"a": 1})  # type: ignore[call-arg, misc]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
def test_copy_replace_takes_maps() -> None:
    replace: Any = copy.replace  # type: ignore[attr-defined]
    assert replace(Map(a=1, b=2), b=3) == {"a": 1, "b": 3}


def test_orjson_writes_maps_by_a_default() -> None:
    orjson = pytest.importorskip("orjson", reason="orjson is not installed")
    assert orjson.loads(orjson.dumps(NESTED, default=dict)) == PLAIN


def test_msgspec_writes_maps_by_a_hook() -> None:
    msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed")
    assert msgspec.json.decode(msgspec.json.encode(NESTED, enc_hook=dict)) == PLAIN
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(NESTED, enc_hook=dict)) == PLAIN


def test_cattrs_needs_no_hooks() -> None:
    cattrs = pytest.importorskip("cattrs", reason="cattrs is not installed")
    converter = cattrs.Converter()
    map = converter.structure({"a": "1"}, Map[str, int])
    assert (type(map), map) == (Map, {"a": 1})
    assert converter.unstructure(NESTED) == PLAIN


def test_cbor2_needs_no_hooks() -> None:
    cbor2 = pytest.importorskip("cbor2", reason="cbor2 is not installed")
    assert cbor2.loads(cbor2.dumps(NESTED)) == PLAIN


def test_yaml_writes_maps_and_sets_by_representers() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

    class Dumper(yaml.SafeDumper):  # type: ignore[misc, name-defined]
        pass

    Dumper.add_representer(Map, Dumper.represent_dict)
    Dumper.add_representer(Set, Dumper.represent_set)
    assert yaml.safe_load(yaml.dump(NESTED, Dumper=Dumper)) == PLAIN
    assert yaml.safe_load(yaml.dump(Set([1, 2]), Dumper=Dumper)) == {1, 2}


def test_pandas_makes_a_frame_of_a_thawed_map() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(thaw(Map(a=(1, 2), b=(3, 4))))
    assert frame.to_dict("list") == {"a": [1, 2], "b": [3, 4]}


def tokens(source: str, seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", f"from ctxvars import Map, Set\n{source}"],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_tokens_of_dask_do_not_depend_on_the_hash_seed() -> None:
    tokenize = pytest.importorskip("dask.base", reason="dask is not installed").tokenize
    assert tokenize(Map(a=1, b=2)) == tokenize(Map(b=2).set("a", 1))
    assert tokenize(Set("ab")) == tokenize(Set("ba"))
    different = [Map(a=1), Map(a=2), Map(b=1), Map(), Set("a"), Set(), {"a": 1}]
    assert len({tokenize(each) for each in different}) == len(different)
    source = """
from dask.base import tokenize
print(tokenize(Map({"a": Map(x="y", z=Set("text")), "b": 2, ("c", 1): 3})))
"""
    assert len({tokens(source, seed) for seed in "123"}) == 1


def test_hashes_of_maps_by_joblib_do_not_depend_on_the_hash_seed() -> None:
    pytest.importorskip("joblib", reason="joblib is not installed")
    source = """
import joblib
print(joblib.hash(Map({"a": Map(x="y", z="text"), "b": 2})))
"""
    assert len({tokens(source, seed) for seed in "123"}) == 1


@pytest.mark.parametrize("module", ["pydantic", "dask", "IPython", "hypothesis", "rich"])
def test_importing_ctxvars_imports_no_other_library(module: str) -> None:
    source = f"import sys; Map(a=1).__rich_repr__(); assert {module!r} not in sys.modules"
    tokens(source, "0")
