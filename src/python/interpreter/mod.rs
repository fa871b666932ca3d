//! Plumbing between Rust and CPython, which knows nothing of maps or contexts.

pub(crate) mod args;
pub(crate) mod error;
pub(crate) mod ffi;
pub(crate) mod free_threading;
pub(crate) mod lazy_import;
pub(crate) mod main_interpreter;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod owned;
pub(crate) mod panic_guard;
pub(crate) mod protocols;
pub(crate) mod recursion;
pub(crate) mod type_object;

pub(crate) use args::{get_or_default, raise_arguments};
pub(crate) use error::{PutAside, Raised, raise, raise_key_error, raise_message, raise_value};
pub(crate) use memory::free_list::FreeList;
pub(crate) use names::name;
pub(crate) use owned::{Object, Owned, lock};
pub(crate) use panic_guard::guarded;
pub(crate) use protocols::{attribute, attribute_or_of, compared, is_true};
pub(crate) use recursion::Nested;
pub(crate) use type_object::Class;
