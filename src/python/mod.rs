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
//! | `heap.rs` | nodes of the map as Python objects that the collector sees |
//! | `root.rs` | the one native context variable that carries the current bindings |
//! | `variable.rs`, `token.rs`, `context.rs`, `iterator.rs` | the classes |

mod class;
mod context;
mod heap;
mod iterator;
mod object;
mod root;
mod token;
mod variable;

use object::Raised;
use pyo3::prelude::*;

/// The Rust core of ctxvars.
// Reference counts and free lists rely on the lock, so a free-threaded build keeps it.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let raised = |Raised| PyErr::fetch(module.py());
    heap::init().map_err(raised)?;
    root::init().map_err(raised)?;
    iterator::init().map_err(raised)?;
    module.add("ContextVar", variable::init(module.py()).map_err(raised)?)?;
    module.add("Token", token::init(module.py())?)?;
    module.add("Context", context::init(module.py()).map_err(raised)?)?;
    module.add("copy_context", context::copy_context_function(module)?)?;
    Ok(())
}
