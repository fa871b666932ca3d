//! How a map is copied, pickled and shown.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::class;
use super::collect::Entries;
use super::ffi;
use super::heap::{self, PyHeap};
use super::imported;
use super::map;
use super::object::{Nested, Object, Owned, Raised, guarded, name};
use crate::map::{EntryOf, NodeRef, Rewrite};
use std::ptr;

/// A map is immutable, so it is its own copy.
unsafe extern "C" fn copy(object: Object, _: Object) -> Object {
    // SAFETY: the object is alive.
    unsafe { Owned::from_borrowed(object) }.into_ptr()
}

/// One call of `copy.deepcopy`: its function, and its memo of what has been copied.
struct DeepCopy {
    deepcopy: Object,
    memo: Owned,
    /// Keys of the map whose copies are other objects, in the order of iteration.
    new_keys: Vec<(Owned, Owned)>,
}

impl DeepCopy {
    /// # Safety
    ///
    /// `memo` is alive.
    unsafe fn new(memo: Object) -> Result<Self, Raised> {
        // SAFETY: the caller keeps the memo alive. A call without one begins a new copy.
        let memo = unsafe {
            if ffi::Py_IsNone(memo) != 0 {
                Owned::new(ffi::PyDict_New())?
            } else {
                Owned::from_borrowed(memo)
            }
        };
        Ok(Self { deepcopy: imported::DEEPCOPY.get()?, memo, new_keys: Vec::new() })
    }

    fn copied(&self, object: &Owned) -> Result<Owned, Raised> {
        let arguments = [object.as_ptr(), self.memo.as_ptr()];
        // SAFETY: the function and both arguments are alive.
        unsafe {
            let no_names = ptr::null_mut();
            Owned::new(ffi::PyObject_Vectorcall(self.deepcopy, arguments.as_ptr(), 2, no_names))
        }
    }

    /// What the memo knows to be the copy of an object.
    fn known(&self, object: Object) -> Result<Option<Owned>, Raised> {
        let memo = self.memo.as_ptr();
        // SAFETY: the memo is alive, and `known` receives a reference or null.
        unsafe {
            let identity = Owned::new(ffi::PyLong_FromVoidPtr(object.cast()))?;
            if ffi::PyDict_CheckExact(memo) != 0 {
                let mut known = ptr::null_mut();
                let found = ffi::PyDict_GetItemRef(memo, identity.as_ptr(), &raw mut known);
                return if found < 0 { Err(Raised) } else { Ok(Owned::new(known).ok()) };
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
    fn is_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<bool, Raised> {
        let object = heap::object_of_ref(node);
        Ok(self.known(object)?.is_some_and(|known| ptr::eq(known.as_ptr(), object)))
    }

    /// The memo keeps the node alive, so no other object gets its identity.
    fn mark_unchanged(&mut self, node: &NodeRef<PyHeap>) -> Result<(), Raised> {
        // A node whose keys have changed does not stay as it is.
        if !self.new_keys.is_empty() {
            return Ok(());
        }
        let object = heap::object_of_ref(node);
        // SAFETY: the memo and the node are alive.
        unsafe {
            let identity = Owned::new(ffi::PyLong_FromVoidPtr(object.cast()))?;
            if ffi::PyObject_SetItem(self.memo.as_ptr(), identity.as_ptr(), object) < 0 {
                return Err(Raised);
            }
        }
        Ok(())
    }

    fn new_value(&mut self, entry: &EntryOf<PyHeap>) -> Result<Owned, Raised> {
        let (key, value) = (self.copied(&entry.key)?, self.copied(&entry.value)?);
        if !ptr::eq(key.as_ptr(), entry.key.as_ptr()) {
            self.new_keys.push((entry.key.clone(), key));
        }
        Ok(value)
    }
}

unsafe extern "C" fn deepcopy(object: Object, memo: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let _nested = Nested::walking(c" while copying a Map")?;
        let mut copy = DeepCopy::new(memo)?;
        let map = heap::borrow(object);
        let rewritten = map.rewritten(&mut copy)?;
        // A cycle through a value has copied this map already; then that is the copy.
        if let Some(earlier) = copy.known(object)? {
            return Ok(earlier.into_ptr());
        }
        if copy.new_keys.is_empty() {
            return Ok(heap::into_object(rewritten).into_ptr());
        }
        let mut entries = Entries::default();
        let mut new_keys = copy.new_keys.into_iter().peekable();
        for (_, EntryOf::<PyHeap> { key, value }) in &rewritten {
            let new_key = new_keys.next_if(|(old, _)| ptr::eq(old.as_ptr(), key.as_ptr()));
            let key = new_key.map_or_else(|| key.clone(), |(_, new)| new);
            entries.push(key, value.clone())?;
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
            Return a map of deep copies, or this very map if nothing in it is copied.\n\n\
            O(n); one deepcopy() visits what several maps share once if nothing in it is copied.",
        ),
        class::method(
            c"__reduce__",
            plain(reduce),
            ffi::METH_NOARGS,
            c"__reduce__($self, /)\n--\n\nReturn what pickle needs. O(n).",
        ),
    ]
}
