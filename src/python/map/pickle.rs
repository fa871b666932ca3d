//! How a map is pickled.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::py_heap;
use crate::python::interpreter::types;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, catch_panic, ffi, type_object};

/// `Map` and a new dict: pickle meets a cycle through a value in its second round, when the value
/// is known, and takes the map that was made there.
unsafe extern "C" fn reduce(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, which keeps its entries alive.
    catch_panic(|| unsafe {
        let entries = Owned::new(ffi::PyDict_New())?;
        for (_, entry) in &*py_heap::borrow(object) {
            let (key, value) = (entry.key.as_ptr(), entry.value.as_ptr());
            if ffi::PyDict_SetItem(entries.as_ptr(), key, value) < 0 {
                return Err(ErrorSet);
            }
        }
        let arguments = Owned::new(ffi::calling!(PyTuple_Pack(1, entries.as_ptr())))?;
        let class = types::MAP.as_ptr();
        Owned::new(ffi::calling!(PyTuple_Pack(2, class, arguments.as_ptr()))).map(Owned::into_ptr)
    })
}

pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![type_object::method(
        c"__reduce__",
        plain(reduce),
        ffi::METH_NOARGS,
        c"__reduce__($self, /)\n--\n\nReturn what pickle needs. O(n).",
    )]
}
