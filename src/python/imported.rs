//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Calls the C API, and hands out references that are not counted.

use super::ffi;
use super::object::{Object, Owned, Raised};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(super) struct Imported {
    module: &'static CStr,
    name: &'static CStr,
    /// Null until it is imported.
    ///
    /// It is not a `PyOnceLock`: an import runs Python code, so a signal handler in the middle of it
    /// may ask for the object again, and a process may be forked by another thread.
    object: AtomicPtr<ffi::PyObject>,
}

impl Imported {
    const fn new(module: &'static CStr, name: &'static CStr) -> Self {
        Self { module, name, object: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The object, which lives as long as the process; not counted.
    pub(super) fn get(&self) -> Result<Object, Raised> {
        let known = self.object.load(Ordering::Acquire);
        if known.is_null() { self.import() } else { Ok(known) }
    }

    #[cold]
    fn import(&self) -> Result<Object, Raised> {
        // SAFETY: both names end with a null byte.
        let object = unsafe {
            let module = Owned::new(ffi::PyImport_ImportModule(self.module.as_ptr()))?;
            Owned::new(ffi::PyObject_GetAttrString(module.as_ptr(), self.name.as_ptr()))?
        };
        // Importing runs Python code, so another thread may have been here meanwhile: the first
        // object is kept, to which there are references.
        let new = object.as_ptr();
        let null = ptr::null_mut();
        match self.object.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(object.into_ptr()),
            Err(first) => Ok(first),
        }
    }
}

pub(super) static MAPPING: Imported = Imported::new(c"_collections_abc", c"Mapping");
pub(super) static KEYS_VIEW: Imported = Imported::new(c"_collections_abc", c"KeysView");
pub(super) static VALUES_VIEW: Imported = Imported::new(c"_collections_abc", c"ValuesView");
pub(super) static ITEMS_VIEW: Imported = Imported::new(c"_collections_abc", c"ItemsView");
pub(super) static DEEPCOPY: Imported = Imported::new(c"copy", c"deepcopy");
pub(super) static MAP_DIFF: Imported = Imported::new(c"ctxvars._map.diff", c"MapDiff");
pub(super) static MERGE_CONFLICT_OF: Imported =
    Imported::new(c"ctxvars._map.diff", c"merge_conflict_of");
pub(super) static GET_ASYNCGEN_HOOKS: Imported = Imported::new(c"sys", c"get_asyncgen_hooks");
pub(super) static SET_ASYNCGEN_HOOKS: Imported = Imported::new(c"sys", c"set_asyncgen_hooks");
pub(super) static METHOD_TYPE: Imported = Imported::new(c"types", c"MethodType");
pub(super) static PICKLED_NAME: Imported =
    Imported::new(c"ctxvars._isolation.isolated", c"pickled_name");
pub(super) static NATIVE_TOKEN: Imported = Imported::new(c"_contextvars", c"Token");
