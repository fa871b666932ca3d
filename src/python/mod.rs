//! The Python module `ctxvars._core`.
//!
//! **Architecture invariant:** no algorithm lives here. The binding parses arguments, calls the
//! core and converts; a loop over nodes in this folder is a defect.
//!
//! **Architecture invariant:** nothing here panics into Python. Every function that CPython calls
//! runs its body in [`object::guarded`], which turns a panic into `SystemError`.
//!
//! Why the classes are made of raw type slots and not of `#[pyclass]`: three of the four are
//! allocated in the hot path. On CPython 3.11 making and freeing an object costs 24 ns as a
//! `#[pyclass]`, 18 as a raw type and 10 as a raw type with a free list, and a whole
//! `ContextVar.set` of the standard library costs 96. Raw slots also let CPython itself produce
//! the error messages that users of the standard library know.
//!
//! | file | concept |
//! | --- | --- |
//! | `object.rs` | strong references, raised exceptions, the panic guard |
//! | `class.rs` | making a class from slots, free lists |
//! | `dropping.rs` | freeing nests of any depth |
//! | `heap.rs` | nodes of the map as Python objects that the collector sees |
//! | `root.rs` | the one native context variable that carries the current bindings |
//! | `variable.rs`, `token.rs`, `context.rs`, `iterator.rs` | the classes |

mod class;
mod context;
mod dropping;
mod heap;
mod iterator;
mod object;
mod root;
mod token;
mod variable;

use object::Raised;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

/// The interpreter that imported the module, which alone may do so: the classes are its objects.
static INTERPRETER: AtomicI64 = AtomicI64::new(-1);

/// The Rust core of ctxvars.
// Reference counts and free lists rely on the lock, so a free-threaded build keeps it.
#[pymodule(gil_used = true)]
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
    module.add("copy_context", context::copy_context_function(module)?)
}

/// Makes the classes and the root variable; once, even if the module is imported again.
fn init(py: Python<'_>) -> PyResult<()> {
    let raised = |Raised| PyErr::fetch(py);
    heap::init().map_err(raised)?;
    root::init().map_err(raised)?;
    iterator::init().map_err(raised)?;
    variable::init().map_err(raised)?;
    context::init().map_err(raised)?;
    token::init(py)
}
