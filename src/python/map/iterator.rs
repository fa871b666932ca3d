//! The iterators over maps, their views, mutations and contexts.

#![allow(unsafe_code)] // Moves a cursor in place, and reuses tuples as `dict` does.

use super::mutation::MutationObject;
use super::py_heap::{self, PyHeap};
use crate::map::{Cursor, EntryOf, Trie};
use crate::python::interpreter::free_threading::{
    FREE_THREADED, is_only_reference, with_object_lock,
};
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, Slot, TypeSpec, catch_panic, ffi, typed_object, types,
};
use std::ffi::{c_int, c_void};
use std::{mem, ptr};

typed_object! {
    /// An iterator, of any of the three types.
    IteratorObject: KEY_ITERATOR | VALUE_ITERATOR | ITEM_ITERATOR
}

static FREE: [FreeList<8>; 3] = [const { FreeList::new() }; 3];

/// The part of each entry that an iterator yields, or a view shows.
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
    mutation: Option<(MutationObject, u64)>,
    /// Whether the garbage collector must track pairs: a key or a value may be part of a cycle.
    is_traced: bool,
    /// The last pair that was yielded, and the one before it. A pair is used again if the iterator
    /// has the only reference to it. While a loop has the last pair in its variable, the other pair
    /// is free.
    pairs: [Option<Owned>; 2],
}

#[inline]
fn iterator(object: RawObject) -> *mut EntryIterator {
    object.cast()
}

/// The result of `pick` for the next entry, `None` at the end.
///
/// # Safety
///
/// `object` is an iterator, and `pick` runs no user code.
#[inline]
unsafe fn advance<R>(object: RawObject, pick: impl FnOnce(&EntryOf<PyHeap>) -> R) -> Option<R> {
    // SAFETY: the cursor changes here only. Since `pick` runs no user code, and the lock keeps
    // other threads out, there is no second reference to the cursor meanwhile.
    unsafe {
        let owner = Owned::borrowed(&object);
        with_object_lock(owner, || (*iterator(object)).cursor.advance().map(pick))
    }
}

/// An iterator over the entries that `map` has now. O(1).
pub(crate) fn over(map: Trie<PyHeap>, part: EntryPart) -> Result<Owned, ErrorSet> {
    make(map, part, None)
}

/// An iterator over the keys of a mutation, which raises if the mutation changes. O(1).
pub(crate) fn over_mutation(
    map: Trie<PyHeap>,
    mutation: MutationObject,
    edits: u64,
) -> Result<Owned, ErrorSet> {
    make(map, EntryPart::Key, Some((mutation, edits)))
}

fn make(
    map: Trie<PyHeap>,
    part: EntryPart,
    mutation: Option<(MutationObject, u64)>,
) -> Result<Owned, ErrorSet> {
    let class = match part {
        EntryPart::Key => &types::KEY_ITERATOR,
        EntryPart::Value => &types::VALUE_ITERATOR,
        EntryPart::Item => &types::ITEM_ITERATOR,
    };
    let (len, is_traced) = (map.len(), map.is_traced());
    // SAFETY: instances of the types, and the blocks of their free lists, are an `EntryIterator` in
    // size. The fields are written before other code can see the object.
    unsafe {
        let object =
            FREE[part as usize].take().unwrap_or_else(|| ffi::PyObject_GC_New(class.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<EntryIterator>();
        (&raw mut (*this).cursor).write(map.into_cursor());
        (&raw mut (*this).len).write(len);
        (&raw mut (*this).is_traced).write(is_traced);
        let is_tracked = is_traced || mutation.is_some();
        (&raw mut (*this).mutation).write(mutation);
        (&raw mut (*this).pairs).write([None, None]);
        // An iterator over atomic objects only cannot be part of a cycle.
        if is_tracked {
            ffi::PyObject_GC_Track(object.cast());
        }
        Owned::new(object)
    }
}

unsafe extern "C" fn next_key(object: RawObject) -> RawObject {
    // SAFETY: `tp_iternext` gets an instance of a type that has this slot. The field `mutation`
    // does not change.
    catch_panic(|| unsafe {
        let mutation = &(*iterator(object)).mutation;
        let changed = |(mutation, edits): &&(MutationObject, u64)| mutation.edits() != *edits;
        if let Some((mutation, _)) = mutation.as_ref().filter(changed) {
            return Err(mutation.raise_changed(
                c"MapMutation changed during iteration",
                c"SetMutation changed during iteration",
            ));
        }
        let key = advance(object, |entry| entry.key.clone());
        Ok(key.map_or(ptr::null_mut(), Owned::into_ptr))
    })
}

unsafe extern "C" fn next_value(object: RawObject) -> RawObject {
    // SAFETY: `tp_iternext` gets an instance of a type that has this slot, and cloning a reference
    // runs no user code.
    catch_panic(|| unsafe {
        let value = advance(object, |entry| entry.value.clone());
        Ok(value.map_or(ptr::null_mut(), Owned::into_ptr))
    })
}

unsafe extern "C" fn next_item(object: RawObject) -> RawObject {
    // SAFETY: `tp_iternext` gets an instance of a type that has this slot. With the GIL, no other
    // thread uses the pairs meanwhile; without it, no code uses them. User code runs only when
    // objects are dropped, after the iterator has been changed.
    catch_panic(|| unsafe {
        let pick = |entry: &EntryOf<PyHeap>| (entry.key.clone(), entry.value.clone());
        let Some((key, value)) = advance(object, pick) else { return Ok(ptr::null_mut()) };
        let this = iterator(object);
        // Another thread could take the pair between the check and its use, without the GIL.
        if !FREE_THREADED {
            if let Some(pair) = free_pair(&mut (*this).pairs) {
                refill(&pair, key, value, (*this).is_traced);
                return Ok(pair.into_ptr());
            }
        }
        let pair = Owned::new(ffi::PyTuple_New(2))?;
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 0, key.into_ptr());
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 1, value.into_ptr());
        if !FREE_THREADED {
            let [last, before] = &mut (*this).pairs;
            let oldest = mem::replace(before, last.replace(pair.clone()));
            drop(oldest);
        }
        Ok(pair.into_ptr())
    })
}

/// A pair to which only the iterator has a reference, as the last one from now on.
#[inline]
fn free_pair(pairs: &mut [Option<Owned>; 2]) -> Option<Owned> {
    let is_free = |pair: &Option<Owned>| pair.as_ref().is_some_and(is_only_reference);
    if !is_free(&pairs[0]) {
        if !is_free(&pairs[1]) {
            return None;
        }
        pairs.swap(0, 1);
    }
    pairs[0].clone()
}

/// Replaces the items of a pair to which only the iterator and the caller have references.
/// `is_traced`: whether the new items may be part of a cycle.
///
/// # Safety
///
/// `pair` is a tuple of two, which no Python code can see.
#[inline]
unsafe fn refill(pair: &Owned, key: Owned, value: Owned, is_traced: bool) {
    // SAFETY: the tuple has two items, whose references are replaced by new ones. The old ones are
    // dropped afterwards, since that may run user code.
    unsafe {
        let tuple = pair.as_ptr().cast::<ffi::PyTupleObject>();
        let items = (&raw mut (*tuple).ob_item).cast::<RawObject>();
        let old = [items.replace(key.into_ptr()), items.add(1).replace(value.into_ptr())];
        // The tuple caches the hash of the old items.
        #[cfg(Py_3_14)]
        {
            (*tuple).ob_hash = -1;
        }
        // The garbage collector may have untracked the tuple because of the old items.
        if is_traced && ffi::PyObject_GC_IsTracked(pair.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(pair.as_ptr().cast());
        }
        old.into_iter().for_each(|item| ffi::Py_DECREF(item));
    }
}

/// The number of entries, including those already yielded, as CPython has it.
unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: the slot gets an instance of a type that has it; `len` does not change.
    unsafe { (*iterator(object)).len as ffi::Py_ssize_t }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the garbage collector visits tracked instances, whose fields have been written. It
    // holds the GIL or has stopped all threads, and the lock of `advance` spans no collection.
    unsafe {
        let this = &*iterator(object);
        let root = this.cursor.root().map(py_heap::object_of_ref);
        let mutation = this.mutation.as_ref().map(|(mutation, _)| mutation.as_ptr());
        let [last, before] = &this.pairs;
        let [last, before] = [last, before].map(|pair| pair.as_ref().map(Owned::as_ptr));
        gc::traverse(object, &[root, mutation, last, before], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to an instance is gone. Its fields
    // are initialised, and not used after they are dropped.
    unsafe {
        // Maps and mutations are freed with a bounded stack. A nest of pairs is not on each version
        // of CPython. An iterator that was queued is not tracked, and its turn has come.
        let is_nested = (*iterator(object)).pairs.iter().any(Option::is_some)
            && ffi::PyObject_GC_IsTracked(object) != 0;
        ffi::PyObject_GC_UnTrack(object.cast());
        if is_nested {
            trashcan::bounded(object, || drop_and_free(object));
        } else {
            drop_and_free(object);
        }
    }
}

/// # Safety
///
/// `object` is a dead, untracked iterator.
#[inline]
unsafe fn drop_and_free(object: RawObject) {
    // SAFETY: the iterator is dead, so no other code uses its fields or its memory.
    unsafe {
        let this = iterator(object);
        ptr::drop_in_place(&raw mut (*this).cursor);
        ptr::drop_in_place(&raw mut (*this).mutation);
        ptr::drop_in_place(&raw mut (*this).pairs);
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
    let iterators: [(_, _, ffi::iternextfunc); 3] = [
        (&types::KEY_ITERATOR, c"builtins.keys", next_key),
        (&types::VALUE_ITERATOR, c"builtins.values", next_value),
        (&types::ITEM_ITERATOR, c"builtins.items", next_item),
    ];
    for (handle, name, next) in iterators {
        // SAFETY: each slot has a function of its type, which works on an `EntryIterator`; the size
        // is that of one. Each name begins with the name of the module, and CPython keeps a copy of
        // it.
        unsafe {
            let spec = TypeSpec::<IteratorObject> {
                name,
                flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
                slots: vec![
                    Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                    Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                    Slot::raw(ffi::Py_tp_iter, ffi::slot::PyObject_SelfIter as *mut c_void),
                    Slot::raw(ffi::Py_tp_iternext, next as *mut c_void),
                    Slot::raw(ffi::Py_mp_length, len as *mut c_void),
                ],
                ..TypeSpec::default()
            };
            handle.make(size_of::<EntryIterator>(), 0, spec)?;
            // A type made from a specification must name a module, which the messages of the
            // standard library do not show.
            let class = handle.as_ptr();
            (*class).tp_name = (*class).tp_name.add(c"builtins.".count_bytes());
        }
    }
    Ok(())
}
