//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Calls the C API, and hands out references that are not counted.

use super::{ErrorSet, Owned, RawObject, ffi};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(crate) struct LazyImport {
    module: &'static CStr,
    name: &'static CStr,
    /// Null until it is imported.
    ///
    /// It is not a `PyOnceLock`: an import runs Python code, so a signal handler in the middle of it
    /// may ask for the object again, and a process may be forked by another thread.
    object: AtomicPtr<ffi::PyObject>,
}

impl LazyImport {
    const fn new(module: &'static CStr, name: &'static CStr) -> Self {
        Self { module, name, object: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The object, which lives as long as the process; not counted.
    pub(crate) fn get(&self) -> Result<RawObject, ErrorSet> {
        let known = self.object.load(Ordering::Acquire);
        if known.is_null() { self.import() } else { Ok(known) }
    }

    #[cold]
    fn import(&self) -> Result<RawObject, ErrorSet> {
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

pub(crate) static MAPPING: LazyImport = LazyImport::new(c"_collections_abc", c"Mapping");
pub(crate) static KEYS_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"KeysView");
pub(crate) static VALUES_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"ValuesView");
pub(crate) static ITEMS_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"ItemsView");
pub(crate) static DEEPCOPY: LazyImport = LazyImport::new(c"copy", c"deepcopy");
pub(crate) static MAP_DIFF: LazyImport = LazyImport::new(c"ctxvars._map.diff", c"MapDiff");
pub(crate) static MERGE_CONFLICT_OF: LazyImport =
    LazyImport::new(c"ctxvars._map.diff", c"merge_conflict_of");
pub(crate) static GET_ASYNCGEN_HOOKS: LazyImport = LazyImport::new(c"sys", c"get_asyncgen_hooks");
pub(crate) static SET_ASYNCGEN_HOOKS: LazyImport = LazyImport::new(c"sys", c"set_asyncgen_hooks");
pub(crate) static METHOD_TYPE: LazyImport = LazyImport::new(c"types", c"MethodType");
pub(crate) static PICKLED_NAME: LazyImport =
    LazyImport::new(c"ctxvars._isolation.isolated", c"pickled_name");
pub(crate) static NATIVE_TOKEN: LazyImport = LazyImport::new(c"_contextvars", c"Token");
