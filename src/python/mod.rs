//! The Python module `ctxvars._core`.
//!
//! **Architecture invariant:** no algorithm lives here. The binding parses arguments, calls the
//! core and converts; a loop over nodes in this folder is a defect.
//!
//! **Architecture invariant:** nothing here panics into Python. Every function that CPython calls
//! runs its body in [`object::guarded`], which turns a panic into `SystemError`.
//!
//! **Architecture invariant:** the C API is called through `ffi.rs`, so that a thread which the
//! interpreter ends at exit unwinds no frame of Rust.
//!
//! Why the classes are made of raw type slots and not of `#[pyclass]`: tokens, scopes, contexts and
//! maps are allocated in the hot path. On CPython 3.11 making and freeing an object costs 24 ns as a
//! `#[pyclass]`, 18 as a raw type and 10 as a raw type with a free list, and a whole
//! `ContextVar.set` of the standard library costs 96. Raw slots also let CPython itself produce
//! the error messages that users of the standard library know.
//!
//! | file | concept |
//! | --- | --- |
//! | `ffi.rs` | the C API, for threads that end inside of it |
//! | `object.rs` | strong references, raised exceptions, the panic guard |
//! | `class.rs` | making a class from slots, free lists |
//! | `dropping.rs` | freeing nests of any depth |
//! | `collector.rs` | keeping the collector out of an edit |
//! | `sharing.rs` | what threads share, with the interpreter's lock and without |
//! | `names.rs` | interned names |
//! | `imported.rs` | objects of other modules |
//! | `interpreter.rs` | the one interpreter that may use the module |
//! | `heap.rs` | nodes of the map as Python objects that the collector sees |
//! | `key.rs`, `collect.rs` | hashing and comparing keys, gathering entries |
//! | `equality.rs` | `==` of maps and mutations with any mapping |
//! | `map.rs`, `whole.rs`, `copying.rs` | `Map`: one key, whole maps, copies and pickles |
//! | `mutation.rs`, `view.rs`, `iterator.rs` | `MapMutation`, the views, the iterators |
//! | `watched_edit.rs` | edits of a mutation that may be edited meanwhile |
//! | `root.rs` | the one native context variable that carries the current bindings |
//! | `variable.rs`, `token.rs`, `context.rs` | the classes of context variables |
//! | `native_contexts.rs` | the interpreter's own contexts, made to show our variables |
//! | `current_value.rs` | a class attribute that reads as the value of a variable |
//! | `factory.rs` | defaults of variables that are made once for each context |
//! | `scope.rs` | `Scope`: variables set for as long as a body runs |
//! | `changes.rs` | what was set in one context, set in another |
//! | `entered.rs` | native contexts that are left however the code in them ends |
//! | `body.rs` | the context of a body, entered at each step |
//! | `live.rs` | bodies whose variables follow those of the caller |
//! | `proxy.rs`, `steps.rs` | what stands for a generator or a coroutine, and makes its steps |
//! | `original.rs` | the state of these originals |
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
mod entered;
mod equality;
mod factory;
mod ffi;
mod heap;
mod imported;
mod interpreter;
mod isolated;
mod iterator;
mod key;
mod live;
mod map;
mod mutation;
mod names;
mod native_contexts;
mod object;
mod original;
mod proxy;
mod rehash;
mod root;
mod scope;
mod sharing;
mod steps;
mod token;
mod variable;
mod view;
mod watched_edit;
mod whole;

use object::{Object, Raised};
use pyo3::prelude::*;

/// The Rust core of ctxvars.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    fill(module.as_ptr()).map_err(|Raised| PyErr::fetch(module.py()))?;
    module.setattr("__version__", env!("CARGO_PKG_VERSION"))
}

fn fill(module: Object) -> Result<(), Raised> {
    if !interpreter::has_classes()? {
        init()?;
        interpreter::claim()?;
    }
    let classes = [
        (c"ContextVar", &variable::CLASS),
        (c"Token", &token::CLASS),
        (c"Context", &context::CLASS),
        (c"Scope", &scope::CLASS),
        (c"CurrentValue", &current_value::CLASS),
        (c"Map", &map::CLASS),
        (c"MapMutation", &mutation::CLASS),
        (c"MapKeys", &view::KEYS),
        (c"MapValues", &view::VALUES),
        (c"MapItems", &view::ITEMS),
    ]
    .map(|(name, class)| (name, class.object()));
    let functions = [
        (c"scope", scope::scope_function(module)?),
        (c"copy_context", context::copy_context_function(module)?),
        (c"extend_native_contexts", native_contexts::extend_function(module)?),
        (c"set_class_dict", current_value::set_class_dict_function(module)?),
        (c"apply_changes", changes::apply_changes_function(module)?),
        (c"isolate", proxy::isolate_function(module)?),
        (c"isolate_calls", isolated::isolate_calls_function(module)?),
    ];
    let of_classes = class_creation::functions(module)?;
    class::add_all(module, classes.into_iter().chain(functions).chain(of_classes))
}

/// Makes the classes and the root variable. If that fails, the next import makes all of them anew.
fn init() -> Result<(), Raised> {
    names::init()?;
    map::init()?;
    heap::init()?;
    mutation::init()?;
    view::init()?;
    root::init()?;
    iterator::init()?;
    variable::init()?;
    current_value::init()?;
    context::init()?;
    scope::init()?;
    factory::init()?;
    proxy::init()?;
    isolated::init()?;
    token::init()
}
