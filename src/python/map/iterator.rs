//! The iterators over maps, their views, mutations and contexts.

#![allow(unsafe_code)] // Moves a cursor in place, and reuses tuples as `dict` does.

use super::mutation::MutationObject;
use super::py_heap::{self, PyHeap};
use crate::map::{Cursor, EntryOf, Trie};
use crate::python::interpreter::free_threading::{is_only_reference, with_object_lock};
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    ErrorSet, Exception, FreeList, Owned, RawObject, Slot, TypeSpec, catch_panic, ffi,
    raise_message, typed_object, types,
};
use std::ffi::{c_int, c_void};
use std::ptr;

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
    /// The last pair that was yielded, to be used again if no other reference to it is left.
    pair: Option<Owned>,
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
    let (len, traced) = (map.len(), mutation.is_some() || map.is_traced());
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
        (&raw mut (*this).mutation).write(mutation);
        (&raw mut (*this).pair).write(None);
        // An iterator over atomic objects only cannot be part of a cycle.
        if traced {
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
        let changed = |(mutation, edits): &(MutationObject, u64)| mutation.edits() != *edits;
        if mutation.as_ref().is_some_and(changed) {
            let message = c"MapMutation changed during iteration";
            return Err(raise_message(Exception::RuntimeError, message));
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
    // SAFETY: `tp_iternext` gets an instance of a type that has this slot. User code runs, when
    // objects are dropped, only after the lock has been released. A pair with one reference, that
    // of the iterator, cannot be reached by other code; cloning it under the lock claims it.
    catch_panic(|| unsafe {
        let pick = |entry: &EntryOf<PyHeap>| (entry.key.clone(), entry.value.clone());
        let Some((key, value)) = advance(object, pick) else { return Ok(ptr::null_mut()) };
        // Once the pair is cloned here, it has two references, so no other thread claims it.
        let is_free = |pair: &&Owned| is_only_reference(pair);
        let free = || (*iterator(object)).pair.as_ref().filter(is_free).cloned();
        let owner = Owned::borrowed(&object);
        if let Some(pair) = with_object_lock(owner, free) {
            refill(&pair, key, value);
            return Ok(pair.into_ptr());
        }
        let pair = Owned::new(ffi::PyTuple_New(2))?;
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 0, key.into_ptr());
        ffi::PyTuple_SET_ITEM(pair.as_ptr(), 1, value.into_ptr());
        let kept = pair.clone();
        drop(with_object_lock(owner, || (*iterator(object)).pair.replace(kept)));
        Ok(pair.into_ptr())
    })
}

/// Replaces the items of a pair to which only the iterator and the caller have references.
///
/// # Safety
///
/// `pair` is a tuple of two, which no Python code can see.
#[inline]
unsafe fn refill(pair: &Owned, key: Owned, value: Owned) {
    // SAFETY: the tuple has two items, whose references are replaced by new ones. The old ones are
    // dropped afterwards, since that may run user code.
    unsafe {
        let tuple = pair.as_ptr().cast::<ffi::PyTupleObject>();
        let items = (&raw mut (*tuple).ob_item).cast::<RawObject>();
        let old = [items.replace(key.into_ptr()), items.add(1).replace(value.into_ptr())];
        // The tuple caches the hash of the old items, and may be untracked because of them.
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
        let pair = this.pair.as_ref().map(Owned::as_ptr);
        gc::traverse(object, &[root, mutation, pair], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to an instance is gone. Its fields
    // are initialised, and not used after they are dropped.
    unsafe {
        // Maps and mutations are freed with a bounded stack. A nest of pairs is not on each version
        // of CPython. An iterator that was queued is not tracked, and its turn has come.
        let is_nested =
            (*iterator(object)).pair.is_some() && ffi::PyObject_GC_IsTracked(object) != 0;
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
