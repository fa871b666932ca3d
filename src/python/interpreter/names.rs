//! Interned names of attributes and keywords.
//!
//! The import of the module interns all of them. A later look-up reads a pointer, so it cannot
//! fail, not even when memory is short.

#![allow(unsafe_code)] // Interns strings by the C API.

use super::{ErrorSet, Owned, ffi};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Every name that [`name!`](super::name) is used with, sorted.
const TEXTS: [&CStr; 58] = [
    c"MISSING",
    c"__await__",
    c"__class__",
    c"__eq__",
    c"__func__",
    c"__group_fields__",
    c"__mro_entries__",
    c"__orig_bases__",
    c"__prepare__",
    c"__qualname__",
    c"_active",
    c"_asyncio",
    c"_name",
    c"aclose",
    c"added",
    c"ag_frame",
    c"ag_running",
    c"apply",
    c"asend",
    c"athrow",
    c"changed",
    c"close",
    c"co_flags",
    c"copy",
    c"cr_await",
    c"cr_frame",
    c"cr_running",
    c"default_factory",
    c"delete",
    c"difference_update",
    c"drop",
    c"get",
    c"get_name",
    c"gi_code",
    c"gi_frame",
    c"gi_running",
    c"intersection",
    c"items",
    c"keys",
    c"metaclass",
    c"missing",
    c"plain",
    c"removed",
    c"reset",
    c"run_enter",
    c"run_exit",
    c"scope_enter",
    c"scope_exit",
    c"send",
    c"set",
    c"strict",
    c"switch",
    c"symmetric_difference_update",
    c"threading",
    c"throw",
    c"update",
    c"weak",
    c"wrap",
];

static NAMES: [AtomicPtr<ffi::PyObject>; TEXTS.len()] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TEXTS.len()];

/// The index of a name. The compiler evaluates it, and rejects names that are not in the table.
pub(crate) const fn index_of(text: &str) -> usize {
    const fn are_equal(a: &[u8], b: &[u8]) -> bool {
        let mut same = 0;
        while same < a.len() && same < b.len() && a[same] == b[same] {
            same += 1;
        }
        same == a.len() && same == b.len()
    }
    let mut index = 0;
    while index < TEXTS.len() {
        if are_equal(TEXTS[index].to_bytes(), text.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("the name is missing in TEXTS of names.rs")
}

/// The interned string at an index of the table.
#[inline(always)]
pub(crate) fn at(index: usize) -> &'static Owned {
    // SAFETY: `init` has stored a reference there before any function of the module could be
    // called, and nothing stores there later. The reference is never dropped.
    unsafe { Owned::borrowed(&*NAMES[index].as_ptr()) }
}

/// Interns all names. The references are kept for the rest of the process.
pub(crate) fn init() -> Result<(), ErrorSet> {
    for (name, text) in NAMES.iter().zip(TEXTS) {
        // SAFETY: the text ends with a null byte; the call returns a new reference or null.
        let interned = unsafe { Owned::new(ffi::PyUnicode_InternFromString(text.as_ptr()))? };
        name.store(interned.into_ptr(), Ordering::Relaxed);
    }
    Ok(())
}

/// An interned string, as a borrowed reference. Never fails: see `names.rs`.
macro_rules! name {
    ($name:literal) => {
        $crate::python::interpreter::names::at(
            const { $crate::python::interpreter::names::index_of($name) },
        )
    };
}
pub(crate) use name;
