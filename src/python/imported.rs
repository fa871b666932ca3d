//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Hands out references that are not counted, to objects kept for ever.

use super::object::{Object, Raised, lock};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(super) struct Imported {
    module: &'static str,
    name: &'static str,
    /// Null until it is imported.
    ///
    /// It is not a `PyOnceLock`: an import runs Python code, so a signal handler in the middle of it
    /// may ask for the object again, and a process may be forked by another thread.
    object: AtomicPtr<ffi::PyObject>,
}

impl Imported {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, object: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The object, which lives as long as the process; not counted.
    #[inline]
    pub(super) fn get(&self) -> Result<Object, Raised> {
        let object = self.object.load(Ordering::Acquire);
        if object.is_null() { self.import() } else { Ok(object) }
    }

    #[cold]
    fn import(&self) -> Result<Object, Raised> {
        let object = lock().import(self.module)?.getattr(self.name)?.unbind();
        let new = object.as_ptr();
        let null = ptr::null_mut();
        // The first one is kept for ever; of several threads that import it, all get that one.
        match self.object.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(object.into_ptr()),
            Err(first) => Ok(first),
        }
    }
}

pub(super) static MAPPING: Imported = Imported::new("_collections_abc", "Mapping");
pub(super) static KEYS_VIEW: Imported = Imported::new("_collections_abc", "KeysView");
pub(super) static VALUES_VIEW: Imported = Imported::new("_collections_abc", "ValuesView");
pub(super) static ITEMS_VIEW: Imported = Imported::new("_collections_abc", "ItemsView");
pub(super) static DEEPCOPY: Imported = Imported::new("copy", "deepcopy");
pub(super) static MAP_DIFF: Imported = Imported::new("ctxvars._diff", "MapDiff");
pub(super) static MISSING: Imported = Imported::new("ctxvars._diff", "MISSING");
pub(super) static PICKLED_NAME: Imported = Imported::new("ctxvars._isolation", "pickled_name");
pub(super) static GET_ASYNCGEN_HOOKS: Imported = Imported::new("sys", "get_asyncgen_hooks");
pub(super) static SET_ASYNCGEN_HOOKS: Imported = Imported::new("sys", "set_asyncgen_hooks");
pub(super) static METHOD_TYPE: Imported = Imported::new("types", "MethodType");
