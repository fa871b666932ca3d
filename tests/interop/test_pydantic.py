"""Pydantic validates and dumps `Map[K, V]` and `Set[T]` by their types."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import pytest

from ctxvars import Map, Set

pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")
BaseModel: Any = pydantic.BaseModel
TypeAdapter: Any = pydantic.TypeAdapter
ValidationError: Any = pydantic.ValidationError

K = TypeVar("K")
V = TypeVar("V")

NUMBERS = TypeAdapter(Map[str, int])
ELEMENTS = TypeAdapter(Set[int])


class Point(BaseModel):  # type: ignore[misc]
    x: int


class Shop(BaseModel):  # type: ignore[misc]
    stock: Map[str, int]
    places: Map[int, Map[str, Point]] = Map()
    tags: Set[str] = Set()
    anything: Map = Map()  # type: ignore[type-arg]


@pytest.mark.parametrize(
    "mapping",
    [{"a": "1"}, Map(a="1"), MappingProxyType({"a": "1"}), OrderedDict(a="1"), Map(a=1)],
    ids=lambda mapping: type(mapping).__name__,
)
def test_any_mapping_becomes_a_map_with_typed_values(mapping: Any) -> None:
    map = NUMBERS.validate_python(mapping)
    assert (type(map), map) == (Map, {"a": 1})
    assert type(map["a"]) is int


def test_keys_are_validated_by_their_type() -> None:
    map = TypeAdapter(Map[int, str]).validate_python({"1": "one"})
    assert [*map.items()] == [(1, "one")]


def test_nested_maps_and_models_are_validated() -> None:
    shop = Shop(stock={"apple": "3"}, places={"1": {"door": {"x": "5"}}}, tags=["a", "a"])
    assert type(shop.places[1]) is Map
    assert shop.places[1]["door"] == Point(x=5)
    assert (type(shop.tags), shop.tags) == (Set, {"a"})


def test_a_map_that_is_valid_stays_itself() -> None:
    inner = Map(a=1)
    assert NUMBERS.validate_python(inner) is inner
    outer = Map(x=inner)
    assert TypeAdapter(Map[str, Map[str, int]]).validate_python(outer) is outer
    assert TypeAdapter(Map).validate_python(outer) is outer


def test_keys_that_become_equal_are_joined() -> None:
    map = TypeAdapter(Map[int, str]).validate_python(Map({"1": "text", 1: "number"}))
    assert len(map) == 1


@pytest.mark.parametrize("value", [5, "text", [("a", 1)], None, Set("a")])
def test_other_values_are_errors(value: Any) -> None:
    with pytest.raises(ValidationError, match="valid dictionary"):
        NUMBERS.validate_python(value)


def test_an_error_names_the_place() -> None:
    with pytest.raises(ValidationError) as raised:
        Shop(stock={"apple": "three"}, places={1: {"door": {"x": "five"}}})
    places = [error["loc"] for error in raised.value.errors()]
    assert places == [("stock", "apple"), ("places", 1, "door", "x")]


def test_strict_validation_takes_maps_and_sets_only() -> None:
    assert NUMBERS.validate_python(Map(a=1), strict=True) == {"a": 1}
    assert ELEMENTS.validate_python(Set([1]), strict=True) == {1}
    for adapter, value in ((NUMBERS, {"a": 1}), (NUMBERS, Map(a="1")), (ELEMENTS, {1})):
        with pytest.raises(ValidationError):
            adapter.validate_python(value, strict=True)
    assert NUMBERS.validate_json('{"a": 1}', strict=True) == {"a": 1}


def test_models_are_dumped_to_dicts_and_sets() -> None:
    shop = Shop(stock={"apple": 3}, places={1: {"door": Point(x=5)}}, tags={"a"})
    dumped = shop.model_dump()
    assert dumped == {
        "stock": {"apple": 3},
        "places": {1: {"door": {"x": 5}}},
        "tags": {"a"},
        "anything": {},
    }
    assert (type(dumped["places"]), type(dumped["places"][1])) == (dict, dict)
    assert type(dumped["tags"]) is set


def test_json_leads_back_to_an_equal_model() -> None:
    shop = Shop(
        stock={"apple": 3}, places={1: {"door": Point(x=5)}}, tags={"a"}, anything={"b": [1]}
    )
    text = shop.model_dump_json()
    assert json.loads(text)["places"] == {"1": {"door": {"x": 5}}}
    assert Shop.model_validate_json(text) == shop


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_json_schema_is_that_of_a_dict_and_a_set(mode: str) -> None:
    for ours, builtin in ((Map[str, int], dict[str, int]), (Set[int], set[int]), (Map, dict)):
        schema = TypeAdapter(ours).json_schema(mode=mode)
        assert schema == TypeAdapter(builtin).json_schema(mode=mode)


def test_options_of_dumping_reach_the_values() -> None:
    shop = Shop(stock={"apple": 3, "pear": 4})
    assert shop.model_dump(include={"stock": {"apple"}}) == {"stock": {"apple": 3}}
    assert shop.model_dump(exclude={"stock": {"apple"}}, exclude_unset=True) == {
        "stock": {"pear": 4}
    }


def test_generic_models_pass_their_types_on() -> None:
    class Table(BaseModel, Generic[K, V]):  # type: ignore[misc]
        rows: Map[K, V]  # type: ignore[type-var]

    assert Table[int, float](rows={"1": "2.5"}).rows == {1: 2.5}
    with pytest.raises(ValidationError):
        Table[int, float](rows={"one": 2})


def test_models_are_copied_and_hashed_with_their_maps() -> None:
    class Frozen(BaseModel, frozen=True):  # type: ignore[misc]
        stock: Map[str, int]

    model = Frozen(stock={"apple": 3})
    assert hash(model) == hash(Frozen(stock={"apple": 3}))
    assert copy.deepcopy(model).stock is model.stock
    assert model.model_copy(deep=True) == model


def test_fastapi_reads_and_writes_maps() -> None:
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    testclient = pytest.importorskip("fastapi.testclient", reason="httpx is not installed")
    app = fastapi.FastAPI()

    def doubled(shop: Any) -> Any:
        assert type(shop.stock) is Map
        return shop.stock.map_values(lambda count: 2 * count)

    doubled.__annotations__.update({"shop": Shop, "return": Map[str, int]})
    app.post("/double")(doubled)
    client = testclient.TestClient(app)
    answer = client.post("/double", json={"stock": {"apple": 3}})
    assert answer.json() == {"apple": 6}
    assert client.post("/double", json={"stock": {"apple": "x"}}).status_code == 422
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Shop"]["properties"]["stock"]["additionalProperties"] == {"type": "integer"}
