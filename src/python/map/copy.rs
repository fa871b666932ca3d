//! Copies of maps, shallow and deep.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::py_heap;
use crate::map::{EntryOf, NodeRef, Rewrite};
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, lazy_import, name, type_object,
};
use crate::python::map::entries::Entries;
use crate::python::map::py_heap::PyHeap;
use std::ptr;

/// A map is immutable, so it is its own copy.
unsafe extern "C" fn copy(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the object is alive.
    unsafe { Owned::from_borrowed(object) }.into_ptr()
}

/// One call of `copy.deepcopy`: its function, and its memo of what has been copied.
struct DeepCopy {
    deepcopy: RawObject,
    memo: Owned,
    /// Keys of the map whose copies are other objects, in the order of iteration.
    new_keys: Vec<(Owned, Owned)>,
}

impl DeepCopy {
    /// # Safety
    ///
    /// `memo` is alive.
    unsafe fn new(memo: RawObject) -> Result<Self, ErrorSet> {
        // SAFETY: the caller keeps the memo alive. A call without one begins a new copy.
        let memo = unsafe {
            if ffi::Py_IsNone(memo) != 0 {
                Owned::new(ffi::PyDict_New())?
            } else {
                Owned::from_borrowed(memo)
            }
        };
        Ok(Self { deepcopy: lazy_import::DEEPCOPY.get()?, memo, new_keys: Vec::new() })
    }

    fn copied(&self, object: &Owned) -> Result<Owned, ErrorSet> {
        let arguments = [object.as_ptr(), self.memo.as_ptr()];
        // SAFETY: the function and both arguments are alive.
        unsafe {
            let no_names = ptr::null_mut();
            Owned::new(ffi::PyObject_Vectorcall(self.deepcopy, arguments.as_ptr(), 2, no_names))
        }
    }

    /// What the memo knows to be the copy of an object.
    fn known(&self, object: RawObject) -> Result<Option<Owned>, ErrorSet> {
        let memo = self.memo.as_ptr();
        // SAFETY: the memo is alive, and `known` receives a reference or null.
        unsafe {
            let identity = Owned::new(ffi::PyLong_FromVoidPtr(object.cast()))?;
            if ffi::PyDict_CheckExact(memo) != 0 {
                let mut known = ptr::null_mut();
                let found = ffi::PyDict_GetItemRef(memo, identity.as_ptr(), &raw mut known);
                return if found < 0 { Err(ErrorSet) } else { Ok(Owned::new(known).ok()) };
            }
            // Any object will do for `copy.deepcopy` that has the method of a dict.
            let known = ffi::PyObject_CallMethodOneArg(memo, name!("get"), identity.as_ptr());
            let known = Owned::new(known)?;
            Ok((ffi::Py_IsNone(known.as_ptr()) == 0).then_some(known))
        }
    }
}

impl Rewrite<PyHeap> for DeepCopy {
    /// A node is an object, so the memo can hold it. A map is its root.
    fn is_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<bool, ErrorSet> {
        let object = py_heap::object_of_ref(node);
        Ok(self.known(object)?.is_some_and(|known| ptr::eq(known.as_ptr(), object)))
    }

    /// The memo keeps the node alive, so no other object gets its identity.
    fn mark_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<(), ErrorSet> {
        // A node whose keys have changed does not stay as it is.
        if !self.new_keys.is_empty() {
            return Ok(());
        }
        let object = py_heap::object_of_ref(node);
        // SAFETY: the memo and the node are alive.
        unsafe {
            let identity = Owned::new(ffi::PyLong_FromVoidPtr(object.cast()))?;
            if ffi::PyObject_SetItem(self.memo.as_ptr(), identity.as_ptr(), object) < 0 {
                return Err(ErrorSet);
            }
        }
        Ok(())
    }

    fn new_value(&mut self, entry: &EntryOf<PyHeap>) -> Result<Owned, ErrorSet> {
        let (key, value) = (self.copied(&entry.key)?, self.copied(&entry.value)?);
        if !ptr::eq(key.as_ptr(), entry.key.as_ptr()) {
            self.new_keys.push((entry.key.clone(), key));
        }
        Ok(value)
    }
}

unsafe extern "C" fn deepcopy(object: RawObject, memo: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let _nested = RecursionGuard::walking(c" while copying a Map")?;
        let mut copy = DeepCopy::new(memo)?;
        let map = py_heap::borrow(object);
        let rewritten = map.rewritten(&mut copy)?;
        // A cycle through a value has copied this map already; then that is the copy.
        if let Some(earlier) = copy.known(object)? {
            return Ok(earlier.into_ptr());
        }
        if copy.new_keys.is_empty() {
            return Ok(py_heap::into_object(rewritten).into_ptr());
        }
        let mut entries = Entries::default();
        let mut new_keys = copy.new_keys.into_iter().peekable();
        for (_, EntryOf::<PyHeap> { key, value }) in &rewritten {
            let new_key = new_keys.next_if(|(old, _)| ptr::eq(old.as_ptr(), key.as_ptr()));
            let key = new_key.map_or_else(|| key.clone(), |(_, new)| new);
            entries.push(key, value.clone())?;
        }
        Ok(py_heap::into_object(entries.into_map()?).into_ptr())
    })
}

pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        type_object::method(
            c"copy",
            plain(copy),
            ffi::METH_NOARGS,
            c"copy($self, /)\n--\n\nReturn this very map, which is immutable. O(1).",
        ),
        type_object::method(
            c"__copy__",
            plain(copy),
            ffi::METH_NOARGS,
            c"__copy__($self, /)\n--\n\nReturn this very map, which is immutable. O(1).",
        ),
        type_object::method(
            c"__deepcopy__",
            plain(deepcopy),
            ffi::METH_O,
            c"__deepcopy__($self, memo, /)\n--\n\n\
            Return a map of deep copies, or this very map if nothing in it is copied.\n\n\
            O(n); one deepcopy() visits what several maps share once if nothing in it is copied.",
        ),
    ]
}
