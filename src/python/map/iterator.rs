//! What iterating over maps, their views, mutations and contexts yields.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use super::{mutation, py_heap};
use crate::map::{Cursor, EntryOf, Trie};
use crate::python::interpreter::free_threading::{is_only_reference, with_object_lock};
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, TypeHandle, catch_panic, ffi, raise_message,
};
use crate::python::map::py_heap::PyHeap;
use std::ffi::{c_int, c_void};
use std::ptr;

static FREE: [FreeList<8>; 3] = [const { FreeList::new() }; 3];

/// What an iterator yields of each entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryPart {
    Key,
    Value,
    Item,
}

#[repr(C)]
struct EntryIterator {
    object: ffi::PyObject,
    cursor: Cursor<PyHeap>,
    len: usize,
    /// The mutation that is iterated over, and its number of edits when the iterator was made.
    mutation: Option<(Owned, u64)>,
    /// The last pair that was yielded, to be used again if nobody else has kept it.
    pair: Option<Owned>,
}

#[inline]
fn iterator(object: RawObject) -> *mut EntryIterator {
    object.cast()
}

/// What `pick` takes of the next entry, `None` at the end.
///
/// # Safety
///
/// `object` is an iterator, and `pick` runs no user code.
#[inline]
unsafe fn advance<R>(object: RawObject, pick: impl FnOnce(&EntryOf<PyHeap>) -> R) -> Option<R> {
    // SAFETY: as the caller promises. Only here is the cursor changed.
    unsafe { with_object_lock(object, || (*iterator(object)).cursor.advance().map(pick)) }
}

/// An iterator over `map`, which later changes do not touch. O(1).
pub(crate) fn over(map: Trie<PyHeap>, part: EntryPart) -> Result<RawObject, ErrorSet> {
    make(map, part, None)
}

/// An iterator over the keys of a mutation, which raises if that changes. O(1).
pub(crate) fn over_mutation(
    map: Trie<PyHeap>,
    mutation: Owned,
    edits: u64,
) -> Result<RawObject, ErrorSet> {
    make(map, EntryPart::Key, Some((mutation, edits)))
}

fn make(
    map: Trie<PyHeap>,
    part: EntryPart,
    mutation: Option<(Owned, u64)>,
) -> Result<RawObject, ErrorSet> {
    let class = match part {
        EntryPart::Key => &types::KEY_ITERATOR,
        EntryPart::Value => &types::VALUE_ITERATOR,
        EntryPart::Item => &types::ITEM_ITERATOR,
    };
    let (len, traced) = (map.len(), mutation.is_some() || map.is_traced());
    // SAFETY: the class has instances of this layout; the fields are written before anybody can
    // see the object.
    unsafe {
        let object =
            FREE[part as usize].take().unwrap_or_else(|| ffi::PyObject_GC_New(class.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<EntryIterator>();
        (&raw mut (*this).cursor).write(map.into_cursor());
        (&raw mut (*this).len).write(len);
        (&raw mut (*this).mutation).write(mutation);
        (&raw mut (*this).pair).write(None);
        // What holds only atomic objects is of no interest to the collector.
        if traced {
            ffi::PyObject_GC_Track(object.cast());
        }
        Ok(object)
    }
}

unsafe extern "C" fn next_key(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, whose mutation stays what it is.
    catch_panic(|| unsafe {
        let mutation = &(*iterator(object)).mutation;
        let changed =
            |(mutation, edits): &(Owned, u64)| mutation::edits(mutation.as_ptr()) != *edits;
        if mutation.as_ref().is_some_and(changed) {
            let message = c"MapMutation changed during iteration";
            return Err(raise_message(ffi::PyExc_RuntimeError, message));
        }
        let key = advance(object, |entry| entry.key.clone());
        Ok(key.map_or(ptr::null_mut(), Owned::into_ptr))
    })
}

unsafe extern "C" fn next_value(object: RawObject) -> RawObject {
    // SAFETY: as for `next_key`.
    catch_panic(|| unsafe {
        let value = advance(object, |entry| entry.value.clone());
        Ok(value.map_or(ptr::null_mut(), Owned::into_ptr))
    })
}

unsafe extern "C" fn next_item(object: RawObject) -> RawObject {
    // SAFETY: as for `next_key`; what may run user code comes after the cursor is done with.
    catch_panic(|| unsafe {
        let pick = |entry: &EntryOf<PyHeap>| (entry.key.clone(), entry.value.clone());
        let Some((key, value)) = advance(object, pick) else { return Ok(ptr::null_mut()) };
        // Once it is cloned here, nobody else finds it free.
        let is_free = |pair: &&Owned| is_only_reference(pair.as_ptr());
        let free = || (*iterator(object)).pair.as_ref().filter(is_free).cloned();
        if let Some(pair) = with_object_lock(object, free) {
            refill(&pair, key, value);
            return Ok(pair.into_ptr());
        }
        let pair = Owned::new(ffi::PyTuple_New(2))?;
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 0, key.into_ptr());
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 1, value.into_ptr());
        let kept = pair.clone();
        drop(with_object_lock(object, || (*iterator(object)).pair.replace(kept)));
        Ok(pair.into_ptr())
    })
}

/// Puts other items into a pair that only the iterator, and now its caller, refer to.
///
/// # Safety
///
/// `pair` is a tuple of two, which no Python code can see.
#[inline]
unsafe fn refill(pair: &Owned, key: Owned, value: Owned) {
    // SAFETY: as the caller promises. The old items are dropped when the new ones are in place.
    unsafe {
        let tuple = pair.as_ptr().cast::<ffi::PyTupleObject>();
        let items = (&raw mut (*tuple).ob_item).cast::<RawObject>();
        let old = [items.replace(key.into_ptr()), items.add(1).replace(value.into_ptr())];
        // What is remembered of the old items goes, too: their hash, and that none is tracked.
        #[cfg(Py_3_14)]
        {
            (*tuple).ob_hash = -1;
        }
        if ffi::PyObject_GC_IsTracked(pair.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(pair.as_ptr().cast());
        }
        old.into_iter().for_each(|item| ffi::Py_DECREF(item));
    }
}

/// The number of entries, whatever has been yielded of them, as in CPython.
unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { (*iterator(object)).len as ffi::Py_ssize_t }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let this = &*iterator(object);
        let root = this.cursor.root().map(py_heap::object_of_ref);
        let mutation = this.mutation.as_ref().map(|(mutation, _)| mutation.as_ptr());
        let pair = this.pair.as_ref().map(Owned::as_ptr);
        gc::traverse(object, &[root, mutation, pair], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<EntryIterator>();
        ptr::drop_in_place(&raw mut (*this).cursor);
        ptr::drop_in_place(&raw mut (*this).mutation);
        ptr::drop_in_place(&raw mut (*this).pair);
        let class = ffi::Py_TYPE(object);
        let part = [&types::KEY_ITERATOR, &types::VALUE_ITERATOR, &types::ITEM_ITERATOR]
            .iter()
            .position(|it| ptr::eq(it.as_ptr(), class));
        match part {
            Some(part) => FREE[part].give(object),
            None => gc::free(object),
        }
    }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let classes: [(&TypeHandle, _, ffi::iternextfunc); 3] = [
        (&types::KEY_ITERATOR, c"builtins.keys", next_key),
        (&types::VALUE_ITERATOR, c"builtins.values", next_value),
        (&types::ITEM_ITERATOR, c"builtins.items", next_item),
    ];
    for (class, name, next) in classes {
        // SAFETY: each slot has the function that its number stands for, and each name begins with
        // the module. CPython keeps the memory of the name elsewhere.
        unsafe {
            class.make(
                name,
                size_of::<EntryIterator>(),
                0,
                ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
                &[
                    (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                    (ffi::Py_tp_traverse, traverse as *mut c_void),
                    (ffi::Py_tp_iter, ffi::slot::PyObject_SelfIter as *mut c_void),
                    (ffi::Py_tp_iternext, next as *mut c_void),
                    (ffi::Py_mp_length, len as *mut c_void),
                ],
            )?;
            // A class made from a specification must name a module, which the standard library's
            // messages do not show.
            let class = class.as_ptr();
            (*class).tp_name = (*class).tp_name.add(c"builtins.".count_bytes());
        }
    }
    Ok(())
}
