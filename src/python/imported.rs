//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Calls the C API of imports, and hands out borrowed references.

use super::object::{Object, Owned, Raised};
use pyo3::ffi;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(super) struct Imported {
    module: &'static CStr,
    name: &'static CStr,
    /// Null until the first use.
    object: AtomicPtr<ffi::PyObject>,
}

impl Imported {
    const fn new(module: &'static CStr, name: &'static CStr) -> Self {
        Self { module, name, object: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The object, as a borrowed reference to what lives as long as the process.
    pub(super) fn get(&self) -> Result<Object, Raised> {
        let object = self.object.load(Ordering::Acquire);
        if object.is_null() { self.import() } else { Ok(object) }
    }

    #[cold]
    fn import(&self) -> Result<Object, Raised> {
        // SAFETY: both texts end with a null byte, and what comes back is a new reference or null.
        let imported = unsafe {
            let module = Owned::new(ffi::PyImport_ImportModule(self.module.as_ptr()))?;
            Owned::new(ffi::PyObject_GetAttrString(module.as_ptr(), self.name.as_ptr()))?
        };
        // An import runs Python code, and so another thread may have been here meanwhile. All
        // callers get the object that was stored first.
        let (null, object) = (ptr::null_mut(), imported.as_ptr());
        match self.object.compare_exchange(null, object, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(imported.into_ptr()),
            Err(first) => Ok(first),
        }
    }
}

pub(super) static MAPPING: Imported = Imported::new(c"_collections_abc", c"Mapping");
pub(super) static KEYS_VIEW: Imported = Imported::new(c"_collections_abc", c"KeysView");
pub(super) static VALUES_VIEW: Imported = Imported::new(c"_collections_abc", c"ValuesView");
pub(super) static ITEMS_VIEW: Imported = Imported::new(c"_collections_abc", c"ItemsView");
pub(super) static DEEPCOPY: Imported = Imported::new(c"copy", c"deepcopy");
pub(super) static MAP_DIFF: Imported = Imported::new(c"ctxvars._diff", c"MapDiff");
pub(super) static MISSING: Imported = Imported::new(c"ctxvars._diff", c"MISSING");
pub(super) static GET_ASYNCGEN_HOOKS: Imported = Imported::new(c"sys", c"get_asyncgen_hooks");
pub(super) static SET_ASYNCGEN_HOOKS: Imported = Imported::new(c"sys", c"set_asyncgen_hooks");
pub(super) static METHOD_TYPE: Imported = Imported::new(c"types", c"MethodType");
