//! The Python module `ctxvars._core`.
//!
//! **Architecture invariant:** the algorithms are in the core. The binding parses arguments, calls
//! the core and converts the results; a loop over nodes in this folder is a defect.
//!
//! **Architecture invariant:** no panic reaches CPython. A function that CPython calls and that can
//! panic runs its body in [`interpreter::catch_panic`], which turns a panic into `SystemError`.
//!
//! **Architecture invariant:** all calls of the C API go through `interpreter::ffi`. If the
//! interpreter ends a thread at exit, its wrappers keep the thread from unwinding Rust frames.
//!
//! The types are made of raw slots, not with `#[pyclass]`, because hot paths allocate tokens,
//! scopes, contexts and maps. On CPython 3.11, allocating and freeing an object costs 24 ns as a
//! `#[pyclass]`, 18 ns as a raw type and 10 ns as a raw type with a free list; a whole
//! `ContextVar.set` of the standard library costs 96 ns. With raw slots, CPython itself also
//! produces the error messages of the standard library.
//!
//! # Map of the binding
//!
//! | folder | contents |
//! | --- | --- |
//! | [`interpreter`] | the layer between Rust and CPython: C API, references, errors, slots, types |
//! | [`interpreter::ffi`] | the C API, with wrappers for threads that end inside a call |
//! | [`interpreter::memory`] | free lists, the garbage collector, freeing deep nests |
//! | [`interpreter::methods`] | wrappers of safe functions for method tables and type slots |
//! | [`map`] | `Map`: lookup, copies, set operations, diff and merge, hash, `repr`, pickle |
//! | [`map::py_heap`] | the nodes of maps as Python objects, and their second hash |
//! | [`map::mutation`] | `MapMutation` |
//! | [`set`] | `Set` and `SetMutation`, maps whose values do not count |
//! | [`context`] | `ContextVar`, `Token`, `Context`, `Scope`, on the native context |
//! | [`isolation`] | functions, generators and coroutines that run in isolated contexts |
//! | [`observation`] | the recorder of changes, and the hook of `watch` |
//! | [`classes`] | the creation of classes, step by step, for `ctxvars.classes` |
//!
//! [`_core`] at the end of this file makes the types and fills the module.

mod classes;
mod context;
mod interpreter;
mod isolation;
mod map;
mod observation;
mod set;

use classes::build_class;
use context::{
    apply_changes, cell, context as context_class, frames, group, native_contexts, native_layout,
    root_variable, scope, token, variable,
};
use interpreter::{ErrorSet, Owned, main_interpreter, names, recursion, type_object, types};
use isolation::{function, proxy};
use map::{class as map_class, iterator, mutation, py_heap, view};
use pyo3::prelude::*;
use std::ffi::CStr;

/// The Rust core of ctxvars.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let object = module.as_ptr();
    #[allow(unsafe_code)] // The only place where an object comes from PyO3.
    // SAFETY: `object` points to the module object, which `module` keeps alive during this call.
    let object = unsafe { Owned::borrowed(&object) };
    fill(object).map_err(|ErrorSet| PyErr::fetch(module.py()))
}

/// The version of the crate, which is that of the package.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no null bytes"),
    };

/// Adds the types and the functions to the module. The first call makes the types.
fn fill(module: &Owned) -> Result<(), ErrorSet> {
    if !main_interpreter::has_classes()? {
        init()?;
        main_interpreter::claim()?;
    }
    let types = [
        (c"ContextVar", &types::CONTEXT_VAR),
        (c"Token", &types::TOKEN),
        (c"Context", &types::CONTEXT),
        (c"Scope", &types::SCOPE),
        (c"Frames", &types::FRAMES),
        (c"GroupBase", &types::GROUP_BASE),
        (c"GroupMetaBase", &types::GROUP_META_BASE),
        (c"VariableDescriptor", &types::VARIABLE_DESCRIPTOR),
        (c"Map", &types::MAP),
        (c"MapMutation", &types::MAP_MUTATION),
        (c"MapKeys", &types::MAP_KEYS),
        (c"MapValues", &types::MAP_VALUES),
        (c"MapItems", &types::MAP_ITEMS),
        (c"Set", &types::SET),
        (c"SetMutation", &types::SET_MUTATION),
    ]
    .map(|(name, handle)| (name, handle.object()));
    let functions = [
        (c"scope", scope::scope_function(module)?),
        (c"copy_context", context_class::copy_context_function(module)?),
        (c"extend_native_contexts", native_contexts::extend_function(module)?),
        (c"fill_group", group::instance::fill_function(module)?),
        (c"set_class_dict", group::descriptor::set_class_dict_function(module)?),
        (c"verify_layout", native_layout::verify_function(module)?),
        (c"isolate", proxy::isolate_function(module)?),
        (c"isolate_calls", function::isolate_calls_function(module)?),
    ];
    type_object::add_text(module, c"__version__", VERSION)?;
    native_layout::init(module)?;
    let of_changes = apply_changes::functions(module)?;
    let of_classes = build_class::functions(module)?;
    type_object::add_all(
        module,
        types
            .into_iter()
            .chain(functions)
            .chain(of_changes)
            .chain(of_classes)
            .chain(observation::functions(module)?),
    )
}

/// Makes the types and the root variable. If that fails, the next import makes all of them again.
fn init() -> Result<(), ErrorSet> {
    recursion::measure_limit();
    names::init()?;
    map_class::init()?;
    py_heap::init()?;
    mutation::init()?;
    view::init()?;
    set::class::init()?;
    set::mutation::init()?;
    root_variable::init()?;
    cell::init()?;
    iterator::init()?;
    variable::init()?;
    group::descriptor::init()?;
    context_class::init()?;
    scope::init()?;
    group::instance::init()?;
    group::class::init()?;
    variable::default_factory::init()?;
    frames::init()?;
    proxy::init()?;
    function::init()?;
    token::init()
}
