//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Hands out references that are not counted, to objects kept for ever.

use super::object::{Object, Raised, lock};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(super) struct Imported {
    module: &'static str,
    name: &'static str,
    object: PyOnceLock<Py<PyAny>>,
    /// The same object once it is imported, else null: for what is asked for in the hot path.
    known: AtomicPtr<ffi::PyObject>,
}

impl Imported {
    const fn new(module: &'static str, name: &'static str) -> Self {
        let known = AtomicPtr::new(ptr::null_mut());
        Self { module, name, object: PyOnceLock::new(), known }
    }

    /// The object, which lives as long as the process; not counted.
    #[inline]
    pub(super) fn get(&self) -> Result<Object, Raised> {
        let known = self.known.load(Ordering::Acquire);
        if known.is_null() { self.import() } else { Ok(known) }
    }

    #[cold]
    fn import(&self) -> Result<Object, Raised> {
        let py = lock();
        let import = || -> PyResult<_> { Ok(py.import(self.module)?.getattr(self.name)?.unbind()) };
        let object = self.object.get_or_try_init(py, import)?.as_ptr();
        self.known.store(object, Ordering::Release);
        Ok(object)
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
