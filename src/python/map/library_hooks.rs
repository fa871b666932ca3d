//! Methods that other libraries call, so that maps work in them: see `ctxvars._interop`.

use super::copy::to_dict;
use super::py_heap::MapObject;
use crate::python::interpreter::{ErrorSet, Method, Owned, exactly, lazy_import};

/// The arguments with which rich shows the class as called.
fn rich_repr(map: &MapObject) -> Result<Owned, ErrorSet> {
    Owned::tuple([&to_dict(map)?])
}

fn pretty_repr(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [printer, cycle] = exactly(c"_repr_pretty_", arguments)?;
    lazy_import::PRETTY_MAP.get()?.call([map, printer, cycle])
}

fn dask_token(map: &MapObject) -> Result<Owned, ErrorSet> {
    lazy_import::DASK_TOKEN_OF_MAP.get()?.call_one(map)
}

fn pydantic_schema(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [source, handler] = exactly(c"__get_pydantic_core_schema__", arguments)?;
    lazy_import::PYDANTIC_SCHEMA_OF_MAP.get()?.call([source, handler])
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![
        Method::without_arguments(
            c"__rich_repr__",
            rich_repr,
            c"__rich_repr__($self, /)\n--\n\nReturn the arguments that rich shows. O(n).",
        ),
        Method::fast(
            c"_repr_pretty_",
            pretty_repr,
            c"_repr_pretty_($self, printer, cycle, /)\n--\n\nPrint the map in IPython. O(n).",
        ),
        Method::without_arguments(
            c"__dask_tokenize__",
            dask_token,
            c"__dask_tokenize__($self, /)\n--\n\n\
            Return what dask makes the token of: equal maps have the same token. O(n log n).",
        ),
        Method::of_type(
            c"__get_pydantic_core_schema__",
            pydantic_schema,
            c"__get_pydantic_core_schema__($type, source, handler, /)\n--\n\n\
            Return the schema by which pydantic validates and dumps maps.",
        ),
    ]
}
