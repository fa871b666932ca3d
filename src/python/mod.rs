//! The Python module `ctxvars._core`.
//!
//! **Architecture invariant:** no algorithm lives here. The binding parses arguments, calls the
//! core and converts; a loop over nodes in this folder is a defect.
//!
//! **Architecture invariant:** nothing here panics into Python. Every function that CPython calls
//! runs its body in [`object::guarded`], which turns a panic into `SystemError`.
//!
//! Why the classes are made of raw type slots and not of `#[pyclass]`: tokens, scopes, contexts and
//! maps are allocated in the hot path. On CPython 3.11 making and freeing an object costs 24 ns as a
//! `#[pyclass]`, 18 as a raw type and 10 as a raw type with a free list, and a whole
//! `ContextVar.set` of the standard library costs 96. Raw slots also let CPython itself produce
//! the error messages that users of the standard library know.
//!
//! | file | concept |
//! | --- | --- |
//! | `object.rs` | strong references, raised exceptions, the panic guard |
//! | `class.rs` | making a class from slots, free lists |
//! | `dropping.rs` | freeing nests of any depth |
//! | `collector.rs` | keeping the collector out of an edit |
//! | `sharing.rs` | what threads share, with the interpreter's lock and without |
//! | `imported.rs` | objects of other modules |
//! | `heap.rs` | nodes of the map as Python objects that the collector sees |
//! | `key.rs`, `collect.rs` | hashing and comparing keys, gathering entries |
//! | `map.rs`, `whole.rs`, `copying.rs` | `Map`: one key, whole maps, copies and pickles |
//! | `mutation.rs`, `view.rs`, `iterator.rs` | `MapMutation`, the views, the iterators |
//! | `root.rs` | the one native context variable that carries the current bindings |
//! | `variable.rs`, `token.rs`, `context.rs` | the classes of context variables |
//! | `current_value.rs` | a class attribute that reads as the value of a variable |
//! | `factory.rs` | defaults of variables that are made once for each context |
//! | `scope.rs` | `Scope`: variables set for as long as a body runs |
//! | `changes.rs` | what was set in one context, set in another |
//! | `body.rs` | the context of a body, entered at each step |
//! | `live.rs` | bodies whose variables follow those of the caller |
//! | `proxy.rs`, `steps.rs` | what stands for a generator or a coroutine, and makes its steps |
//! | `isolated.rs` | functions of which each call has a context of its own |
//! | `async_generator.rs` | operations of async generators, and the hooks of event loops |
//! | `class_creation.rs` | what a `class` statement calls |

mod async_generator;
mod body;
mod changes;
mod class;
mod class_creation;
mod collect;
mod collector;
mod context;
mod copying;
mod current_value;
mod dropping;
mod factory;
mod heap;
mod imported;
mod isolated;
mod iterator;
mod key;
mod live;
mod map;
mod mutation;
mod object;
mod proxy;
mod rehash;
mod root;
mod scope;
mod sharing;
mod steps;
mod token;
mod variable;
mod view;
mod whole;

use object::Raised;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

/// The interpreter that imported the module, which alone may do so: the classes are its objects.
static INTERPRETER: AtomicI64 = AtomicI64::new(-1);

/// The Rust core of ctxvars.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let interpreter = object::interpreter_id();
    let imported_by = INTERPRETER.swap(interpreter, Ordering::Relaxed);
    if imported_by == -1 {
        init(py)?;
    } else if imported_by != interpreter {
        INTERPRETER.store(imported_by, Ordering::Relaxed);
        return Err(PyImportError::new_err("ctxvars works in one interpreter of a process only"));
    }
    module.add("ContextVar", variable::CLASS.bind(py))?;
    module.add("Token", token::CLASS.bind(py))?;
    module.add("Context", context::CLASS.bind(py))?;
    module.add("Scope", scope::CLASS.bind(py))?;
    module.add("scope", scope::scope_function(module)?)?;
    module.add("copy_context", context::copy_context_function(module)?)?;
    module.add("CurrentValue", current_value::CLASS.bind(py))?;
    module.add("Map", map::CLASS.bind(py))?;
    module.add("MapMutation", mutation::CLASS.bind(py))?;
    module.add("MapKeys", view::KEYS.bind(py))?;
    module.add("MapValues", view::VALUES.bind(py))?;
    module.add("MapItems", view::ITEMS.bind(py))?;
    module.add("merge", whole::merge_function(module)?)?;
    module.add("apply_changes", changes::apply_changes_function(module)?)?;
    module.add("isolate", proxy::isolate_function(module)?)?;
    module.add("isolate_calls", isolated::isolate_calls_function(module)?)?;
    for (name, function) in class_creation::functions(module)? {
        module.add(name, function)?;
    }
    Ok(())
}

/// Makes the classes and the root variable; once, even if the module is imported again.
fn init(py: Python<'_>) -> PyResult<()> {
    let raised = |Raised| PyErr::fetch(py);
    map::init().map_err(raised)?;
    heap::init().map_err(raised)?;
    mutation::init().map_err(raised)?;
    view::init().map_err(raised)?;
    root::init().map_err(raised)?;
    iterator::init().map_err(raised)?;
    variable::init().map_err(raised)?;
    current_value::init().map_err(raised)?;
    context::init().map_err(raised)?;
    scope::init().map_err(raised)?;
    factory::init().map_err(raised)?;
    proxy::init().map_err(raised)?;
    isolated::init().map_err(raised)?;
    token::init(py)
}
