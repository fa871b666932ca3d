//! The layer between Rust and CPython. It does not depend on maps or contexts.
//!
//! | file | concept |
//! | --- | --- |
//! | `ffi/` | the C API, safe for threads that end inside a call |
//! | `owned.rs` | strong references |
//! | `protocols.rs` | calls, attributes, containers: the safe methods of references |
//! | `error.rs`, `panic_guard.rs` | exceptions, and the conversion of panics into them |
//! | `args.rs`, `methods/` | arguments, and wrappers of safe functions for tables and slots |
//! | `instance.rs` | references to instances of one type, and the fields of instances |
//! | `type_object.rs`, `types.rs` | creating types, and the handles of all types |
//! | `memory/` | free lists, the garbage collector, freeing deep nests |
//! | `recursion.rs` | the recursion limit |
//! | `free_threading.rs` | data that threads share, with and without the GIL |
//! | `names.rs`, `lazy_import.rs` | interned names, and objects of other modules |
//! | `main_interpreter.rs` | the check that the main interpreter imports the module |

pub(crate) mod args;
pub(crate) mod error;
pub(crate) mod ffi;
pub(crate) mod free_threading;
pub(crate) mod instance;
pub(crate) mod lazy_import;
pub(crate) mod main_interpreter;
pub(crate) mod memory;
pub(crate) mod methods;
pub(crate) mod names;
pub(crate) mod owned;
pub(crate) mod panic_guard;
pub(crate) mod protocols;
pub(crate) mod recursion;
pub(crate) mod type_object;
pub(crate) mod types;

pub(crate) use args::{check_count, exactly, get_or_default, raise_arguments};
pub(crate) use error::{
    ErrorSet, Exception, SavedError, checked, raise, raise_key_error, raise_message, raise_value,
};
pub(crate) use instance::{HasFields, Instance, TypedObject, create, typed_object};
pub(crate) use memory::free_list::FreeList;
pub(crate) use methods::{
    Arguments, FirstCall, Getter, Method, Slot, module_function, module_function_with_keywords,
    module_function_without_arguments,
};
pub(crate) use names::name;
pub(crate) use owned::{Owned, RawObject, attached};
pub(crate) use panic_guard::catch_panic;
pub(crate) use protocols::{attribute_of_proxy, eq_or_ne, repr_of_container};
pub(crate) use recursion::RecursionGuard;
pub(crate) use type_object::{TypeHandle, TypeSpec, member};
