//! Native contexts that are used again: those of dead facades, which no other code has seen.
//!
//! Making a copy of a context then needs no new native context.

#![allow(unsafe_code)] // Reads and changes objects of the interpreter.

use super::{LAYOUT, current_slot, is_active, read, replace_variables};
use crate::python::interpreter::free_threading::is_only_reference;
use crate::python::interpreter::{Owned, RawObject, ffi};
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The HAMT of contexts without values.
static EMPTY: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// Whether a native context has only this reference, is not entered, and has no weak references. So
/// no other code can see whether it is this context or another one with the same values.
#[inline]
fn is_unseen(context: &Owned) -> bool {
    // SAFETY: the layout is known, and the object is a native context.
    is_active()
        && is_only_reference(context)
        && unsafe {
            read::<c_int>(context.as_ptr(), LAYOUT.context_entered) == 0
                && read::<RawObject>(context.as_ptr(), LAYOUT.context_weak_references).is_null()
        }
}

/// Takes the values out of a native context that no other code has seen, so that it can be used for
/// another copy: by [`fill`], or else [`give_up`]. Returns whether it can.
///
/// Dropping the values may run other code, which may find the context through the collector. Later,
/// the collector does not know it: after `gc.freeze()`, it would not look at the new values.
pub(crate) fn empty(context: &Owned) -> bool {
    if !is_unseen(context) {
        return false;
    }
    let empty = EMPTY.load(Ordering::Relaxed);
    // SAFETY: the layout is known, and the object is a native context. `activate` has stored a HAMT,
    // which it has a reference to. The context is tracked, as all native contexts are.
    unsafe {
        drop(replace_variables(context, Owned::from_borrowed(empty)));
        let variables: RawObject = read(context.as_ptr(), LAYOUT.context_variables);
        let is_empty = is_unseen(context) && ptr::eq(variables, empty);
        if is_empty {
            ffi::PyObject_GC_UnTrack(context.as_ptr().cast());
        }
        is_empty
    }
}

/// Gives a native context, which [`empty`] has emptied, the values of another one; of the current
/// one, if `source` is `None`. Returns `false` if the public C API has to make the copy.
#[inline]
pub(crate) fn fill(context: &Owned, source: Option<&Owned>) -> bool {
    // SAFETY: the layout is known. The source is a native context, or null. Its HAMT is null only if
    // the collector has cleared it. The HAMT that is dropped is the empty one, which lives on. No
    // other code has a reference to the context.
    unsafe {
        let source = match (source, current_slot()) {
            (Some(source), _) => source.as_ptr(),
            (None, Some(slot)) if !(*slot).is_null() => *slot,
            _ => return false,
        };
        let variables: RawObject = read(source, LAYOUT.context_variables);
        let Some(variables) = Owned::borrowed_or_null(&variables) else { return false };
        drop(replace_variables(context, variables.clone()));
        ffi::PyObject_GC_Track(context.as_ptr().cast());
        true
    }
}

/// Makes a native context, which [`empty`] has emptied, an ordinary one, which can be dropped.
pub(crate) fn give_up(context: &Owned) {
    // SAFETY: the context is complete, and not tracked.
    unsafe { ffi::PyObject_GC_Track(context.as_ptr().cast()) };
}

/// Keeps the HAMT of a context without values.
pub(super) fn keep_empty(context: &Owned) {
    // SAFETY: the context has this layout, and has not been cleared: it owns a HAMT.
    let empty = unsafe { Owned::from_borrowed(read(context.as_ptr(), LAYOUT.context_variables)) };
    EMPTY.store(empty.into_ptr(), Ordering::Relaxed);
}
