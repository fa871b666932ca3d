//! Objects of other modules, imported when they are first needed.

#![allow(unsafe_code)] // Calls the C API, and keeps references in atomics.

use super::{ErrorSet, Owned, ffi};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An attribute of a module.
pub(crate) struct LazyImport {
    module: &'static CStr,
    name: &'static CStr,
    /// Null until it is imported.
    ///
    /// It is not a `PyOnceLock`: an import runs Python code, so a signal handler in the middle of
    /// it may ask for the object again, and a process may be forked by another thread.
    object: AtomicPtr<ffi::PyObject>,
}

impl LazyImport {
    const fn new(module: &'static CStr, name: &'static CStr) -> Self {
        Self { module, name, object: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The object, which lives as long as the process.
    pub(crate) fn get(&'static self) -> Result<&'static Owned, ErrorSet> {
        if self.object.load(Ordering::Acquire).is_null() {
            self.import()?;
        }
        // SAFETY: the pointer is not null. It is never written again, and owns a reference, which
        // keeps the object alive.
        Ok(unsafe { Owned::borrowed(&*self.object.as_ptr()) })
    }

    #[cold]
    fn import(&self) -> Result<(), ErrorSet> {
        // SAFETY: the names end with a null byte; the calls return new references or null.
        let object = unsafe {
            let module = Owned::new(ffi::PyImport_ImportModule(self.module.as_ptr()))?;
            Owned::new(ffi::PyObject_GetAttrString(module.as_ptr(), self.name.as_ptr()))?
        };
        // The import runs Python code, so another thread may have finished it first. Then the
        // object of that thread stays, since references to it may have been given out.
        let (new, null) = (object.as_ptr(), ptr::null_mut());
        if self.object.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let _ = object.into_ptr();
        }
        Ok(())
    }
}

pub(crate) static MAPPING: LazyImport = LazyImport::new(c"_collections_abc", c"Mapping");
pub(crate) static ABSTRACT_SET: LazyImport = LazyImport::new(c"_collections_abc", c"Set");
pub(crate) static KEYS_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"KeysView");
pub(crate) static VALUES_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"ValuesView");
pub(crate) static ITEMS_VIEW: LazyImport = LazyImport::new(c"_collections_abc", c"ItemsView");
pub(crate) static DEEPCOPY: LazyImport = LazyImport::new(c"copy", c"deepcopy");
pub(crate) static MAP_DIFF: LazyImport = LazyImport::new(c"ctxvars._map.diff", c"MapDiff");
pub(crate) static MERGE_CONFLICT_OF: LazyImport =
    LazyImport::new(c"ctxvars._map.diff", c"merge_conflict_of");
pub(crate) static MERGE_DEEP: LazyImport =
    LazyImport::new(c"ctxvars._map.merge_deep", c"merge_deep");
pub(crate) static PRETTY_MAP: LazyImport =
    LazyImport::new(c"ctxvars._interop.ipython", c"pretty_map");
pub(crate) static PRETTY_SET: LazyImport =
    LazyImport::new(c"ctxvars._interop.ipython", c"pretty_set");
pub(crate) static DASK_TOKEN_OF_MAP: LazyImport =
    LazyImport::new(c"ctxvars._interop.dask", c"token_of_map");
pub(crate) static DASK_TOKEN_OF_SET: LazyImport =
    LazyImport::new(c"ctxvars._interop.dask", c"token_of_set");
pub(crate) static PYDANTIC_SCHEMA_OF_MAP: LazyImport =
    LazyImport::new(c"ctxvars._interop.pydantic", c"schema_of_map");
pub(crate) static PYDANTIC_SCHEMA_OF_SET: LazyImport =
    LazyImport::new(c"ctxvars._interop.pydantic", c"schema_of_set");
pub(crate) static GET_ASYNCGEN_HOOKS: LazyImport = LazyImport::new(c"sys", c"get_asyncgen_hooks");
pub(crate) static SET_ASYNCGEN_HOOKS: LazyImport = LazyImport::new(c"sys", c"set_asyncgen_hooks");
pub(crate) static METHOD_TYPE: LazyImport = LazyImport::new(c"types", c"MethodType");
pub(crate) static GROUP_INIT: LazyImport =
    LazyImport::new(c"ctxvars._groups.group", c"init_slowly");
pub(crate) static GROUP_INTERNAL: LazyImport =
    LazyImport::new(c"ctxvars._groups.fields", c"INTERNAL_TYPES");
pub(crate) static PICKLED_NAME: LazyImport =
    LazyImport::new(c"ctxvars._isolation.isolated", c"pickled_name");
pub(crate) static NATIVE_TOKEN: LazyImport = LazyImport::new(c"_contextvars", c"Token");
pub(crate) static MONOTONIC_NS: LazyImport = LazyImport::new(c"time", c"monotonic_ns");
pub(crate) static GET_RUNNING_LOOP: LazyImport = LazyImport::new(c"_asyncio", c"_get_running_loop");
pub(crate) static TASK_TYPE: LazyImport = LazyImport::new(c"_asyncio", c"Task");
#[cfg(Py_3_12)]
pub(crate) static CURRENT_TASK: LazyImport = LazyImport::new(c"_asyncio", c"current_task");
#[cfg(not(Py_3_12))]
pub(crate) static CURRENT_TASKS: LazyImport = LazyImport::new(c"_asyncio", c"_current_tasks");
