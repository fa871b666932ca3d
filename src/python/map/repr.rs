//! The repr of a map.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::py_heap;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi};

/// `ctxvars.Map({...})`, whatever the keys do when they are hashed.
pub(crate) unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, which keeps its entries alive; the formats
    // match the arguments.
    catch_panic(|| unsafe {
        match ffi::Py_ReprEnter(object) {
            0 => {}
            ..0 => return Err(ErrorSet),
            _ => return Ok(ffi::PyUnicode_FromString(c"ctxvars.Map({...})".as_ptr())),
        }
        let shown = shown(object);
        ffi::Py_ReprLeave(object);
        let shown = shown?;
        let text =
            ffi::calling!(PyUnicode_FromFormat(c"ctxvars.Map({%U})".as_ptr(), shown.as_ptr()));
        Owned::new(text).map(Owned::into_ptr)
    })
}

/// The entries as in the repr of a dict, without the braces.
///
/// # Safety
///
/// `object` is a `Map`, kept alive by the caller.
pub(crate) unsafe fn shown(object: RawObject) -> Result<Owned, ErrorSet> {
    // SAFETY: as the caller promises; the format matches the arguments.
    unsafe {
        let _nested = RecursionGuard::counted(c" while getting the repr of a Map")?;
        let parts = Owned::new(ffi::PyList_New(0))?;
        for (_, entry) in &*py_heap::borrow(object) {
            let (key, value) = (entry.key.as_ptr(), entry.value.as_ptr());
            let part =
                Owned::new(ffi::calling!(PyUnicode_FromFormat(c"%R: %R".as_ptr(), key, value)))?;
            if ffi::PyList_Append(parts.as_ptr(), part.as_ptr()) < 0 {
                return Err(ErrorSet);
            }
        }
        let comma = Owned::new(ffi::PyUnicode_FromString(c", ".as_ptr()))?;
        Owned::new(ffi::PyUnicode_Join(comma.as_ptr(), parts.as_ptr()))
    }
}
