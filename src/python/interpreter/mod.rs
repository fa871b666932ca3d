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
pub(crate) mod types;

pub(crate) use args::{get_or_default, keyword_argument, raise_arguments};
pub(crate) use error::{ErrorSet, SavedError, raise, raise_key_error, raise_message, raise_value};
pub(crate) use memory::free_list::FreeList;
pub(crate) use names::name;
pub(crate) use owned::{Owned, RawObject, attached};
pub(crate) use panic_guard::catch_panic;
pub(crate) use protocols::{attribute, attribute_or_of, eq_or_ne, is_true};
pub(crate) use recursion::RecursionGuard;
pub(crate) use type_object::TypeHandle;
