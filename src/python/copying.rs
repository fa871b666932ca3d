//! How a map is copied, pickled and shown.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::class;
use super::collect::Entries;
use super::ffi;
use super::heap;
use super::imported;
use super::map;
use super::object::{Nested, Object, Owned, Raised, guarded};
use std::ptr;

/// A map is immutable, so it is its own copy.
unsafe extern "C" fn copy(object: Object, _: Object) -> Object {
    // SAFETY: the object is alive.
    unsafe { Owned::from_borrowed(object) }.into_ptr()
}

unsafe extern "C" fn deepcopy(object: Object, memo: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, which keeps its entries alive.
    guarded(|| unsafe {
        let deepcopy = imported::DEEPCOPY.get()?;
        let copied = |object: &Owned| {
            let arguments = [object.as_ptr(), memo];
            let copy = ffi::PyObject_Vectorcall(deepcopy, arguments.as_ptr(), 2, ptr::null_mut());
            Owned::new(copy)
        };
        let mut entries = Entries::default();
        let mut is_same = true;
        for (_, entry) in &*heap::borrow(object) {
            let (key, value) = (copied(&entry.key)?, copied(&entry.value)?);
            is_same &= ptr::eq(key.as_ptr(), entry.key.as_ptr());
            is_same &= ptr::eq(value.as_ptr(), entry.value.as_ptr());
            entries.push(key, value)?;
        }
        // A cycle through a value has copied this map already; then that is the copy.
        let identity = Owned::new(ffi::PyLong_FromVoidPtr(object.cast()))?;
        if ffi::PyDict_Check(memo) != 0 {
            let mut earlier = ptr::null_mut();
            match ffi::PyDict_GetItemRef(memo, identity.as_ptr(), &raw mut earlier) {
                0 => {}
                ..0 => return Err(Raised),
                _ => return Ok(earlier),
            }
        }
        if is_same {
            return Ok(Owned::from_borrowed(object).into_ptr());
        }
        Ok(heap::into_object(entries.into_map()?).into_ptr())
    })
}

/// `Map` and a new dict: pickle meets a cycle through a value in its second round, when the value
/// is known, and takes the map that was made there.
unsafe extern "C" fn reduce(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, which keeps its entries alive.
    guarded(|| unsafe {
        let entries = Owned::new(ffi::PyDict_New())?;
        for (_, entry) in &*heap::borrow(object) {
            let (key, value) = (entry.key.as_ptr(), entry.value.as_ptr());
            if ffi::PyDict_SetItem(entries.as_ptr(), key, value) < 0 {
                return Err(Raised);
            }
        }
        let arguments = Owned::new(ffi::calling!(PyTuple_Pack(1, entries.as_ptr())))?;
        let class = map::CLASS.as_ptr();
        Owned::new(ffi::calling!(PyTuple_Pack(2, class, arguments.as_ptr()))).map(Owned::into_ptr)
    })
}

/// `ctxvars.Map({...})`, whatever the keys do when they are hashed.
pub(super) unsafe extern "C" fn repr(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, which keeps its entries alive; the formats
    // match the arguments.
    guarded(|| unsafe {
        match ffi::Py_ReprEnter(object) {
            0 => {}
            ..0 => return Err(Raised),
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
pub(super) unsafe fn shown(object: Object) -> Result<Owned, Raised> {
    // SAFETY: as the caller promises; the format matches the arguments.
    unsafe {
        let _nested = Nested::counted(c" while getting the repr of a Map")?;
        let parts = Owned::new(ffi::PyList_New(0))?;
        for (_, entry) in &*heap::borrow(object) {
            let (key, value) = (entry.key.as_ptr(), entry.value.as_ptr());
            let part =
                Owned::new(ffi::calling!(PyUnicode_FromFormat(c"%R: %R".as_ptr(), key, value)))?;
            if ffi::PyList_Append(parts.as_ptr(), part.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        let comma = Owned::new(ffi::PyUnicode_FromString(c", ".as_ptr()))?;
        Owned::new(ffi::PyUnicode_Join(comma.as_ptr(), parts.as_ptr()))
    }
}

pub(super) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        class::method(
            c"copy",
            plain(copy),
            ffi::METH_NOARGS,
            c"copy($self, /)\n--\n\nReturn this very map, which is immutable. O(1).",
        ),
        class::method(
            c"__copy__",
            plain(copy),
            ffi::METH_NOARGS,
            c"__copy__($self, /)\n--\n\nReturn this very map, which is immutable. O(1).",
        ),
        class::method(
            c"__deepcopy__",
            plain(deepcopy),
            ffi::METH_O,
            c"__deepcopy__($self, memo, /)\n--\n\n\
            Return a map of deep copies, or this very map if nothing in it is copied. O(n).",
        ),
        class::method(
            c"__reduce__",
            plain(reduce),
            ffi::METH_NOARGS,
            c"__reduce__($self, /)\n--\n\nReturn what pickle needs. O(n).",
        ),
    ]
}
