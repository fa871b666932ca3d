//! The Python module `ctxvars._core`.
//!
//! **Architecture invariant:** no algorithm lives here. The binding parses arguments, calls the
//! core and converts; a loop over nodes in this folder is a defect.
//!
//! **Architecture invariant:** nothing here panics into Python. Every function that CPython calls
//! runs its body in [`interpreter::catch_panic`], which turns a panic into `SystemError`.
//!
//! **Architecture invariant:** the C API is called through `interpreter::ffi`, so that a thread which the
//! interpreter ends at exit unwinds no frame of Rust.
//!
//! Why the classes are made of raw type slots and not of `#[pyclass]`: tokens, scopes, contexts and
//! maps are allocated in the hot path. On CPython 3.11 making and freeing an object costs 24 ns as a
//! `#[pyclass]`, 18 as a raw type and 10 as a raw type with a free list, and a whole
//! `ContextVar.set` of the standard library costs 96. Raw slots also let CPython itself produce
//! the error messages that users of the standard library know.
//!
//! | folder | concept |
//! | --- | --- |
//! | [`interpreter`] | plumbing between Rust and CPython, which knows nothing of maps or contexts |
//! | [`map`] | `Map`, `MapMutation`, the views and the iterators |
//! | [`context`] | context variables, tokens, contexts and scopes |
//! | [`isolation`] | functions, generators and coroutines that run in isolated contexts |
//! | [`classes`] | what a `class` statement calls |

mod classes;
mod context;
mod interpreter;
mod isolation;
mod map;

use classes::build_class;
use context::{
    apply_changes, context as context_class, default_factory, descriptor, native_contexts,
    root_variable, scope, token, variable,
};
use interpreter::{ErrorSet, Owned, main_interpreter, names, type_object, types};
use isolation::{function, proxy};
use map::{class as map_class, iterator, mutation, py_heap, view};
use pyo3::prelude::*;

/// The Rust core of ctxvars.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let object = module.as_ptr();
    #[allow(unsafe_code)] // The only place where an object comes from PyO3.
    // SAFETY: `module` keeps the object alive.
    let object = unsafe { Owned::borrowed(&object) };
    fill(object).map_err(|ErrorSet| PyErr::fetch(module.py()))?;
    module.setattr("__version__", env!("CARGO_PKG_VERSION"))
}

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
        (c"VariableDescriptor", &types::VARIABLE_DESCRIPTOR),
        (c"Map", &types::MAP),
        (c"MapMutation", &types::MAP_MUTATION),
        (c"MapKeys", &types::MAP_KEYS),
        (c"MapValues", &types::MAP_VALUES),
        (c"MapItems", &types::MAP_ITEMS),
    ]
    .map(|(name, handle)| (name, handle.object()));
    let functions = [
        (c"scope", scope::scope_function(module)?),
        (c"copy_context", context_class::copy_context_function(module)?),
        (c"extend_native_contexts", native_contexts::extend_function(module)?),
        (c"set_class_dict", descriptor::set_class_dict_function(module)?),
        (c"apply_changes", apply_changes::apply_changes_function(module)?),
        (c"isolate", proxy::isolate_function(module)?),
        (c"isolate_calls", function::isolate_calls_function(module)?),
    ];
    let of_classes = build_class::functions(module)?;
    type_object::add_all(module, types.into_iter().chain(functions).chain(of_classes))
}

/// Makes the types and the root variable. If that fails, the next import makes all of them anew.
fn init() -> Result<(), ErrorSet> {
    names::init()?;
    map_class::init()?;
    py_heap::init()?;
    mutation::init()?;
    view::init()?;
    root_variable::init()?;
    iterator::init()?;
    variable::init()?;
    descriptor::init()?;
    context_class::init()?;
    scope::init()?;
    default_factory::init()?;
    proxy::init()?;
    function::init()?;
    token::init()
}
