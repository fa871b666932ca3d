//! Native contexts that are used again: those of dead facades, which no other code has seen.
//!
//! Making a copy of a context then needs no new native context. A native context that only its
//! facade knows is *hidden*: the collector does not track it, and the facade visits its values.

#![allow(unsafe_code)] // Reads and changes objects of the interpreter.

use super::{LAYOUT, current_slot, is_active, read, replace_variables};
use crate::python::interpreter::free_threading::is_only_reference;
use crate::python::interpreter::{Owned, RawObject, ffi};
use std::ffi::{c_int, c_void};
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

/// Takes the values out of a native context that no other code has seen, and hides it, so that it can
/// be used for another copy: by [`fill`], or else [`show`]. Returns whether it can.
///
/// Dropping the values may run other code, which may find the context through the collector, unless
/// it is hidden already.
#[inline]
pub(crate) fn empty(context: &Owned, is_hidden: bool) -> bool {
    if !is_hidden && !is_unseen(context) {
        return false;
    }
    let empty = EMPTY.load(Ordering::Relaxed);
    // SAFETY: the layout is known, and the object is a native context. `activate` has stored a HAMT,
    // which it has a reference to. A native context that is not hidden is tracked.
    unsafe {
        drop(replace_variables(context, Owned::from_borrowed(empty)));
        if is_hidden {
            return true;
        }
        let variables: RawObject = read(context.as_ptr(), LAYOUT.context_variables);
        let is_empty = is_unseen(context) && ptr::eq(variables, empty);
        if is_empty {
            ffi::PyObject_GC_UnTrack(context.as_ptr().cast());
        }
        is_empty
    }
}

/// Gives a hidden native context, which [`empty`] has emptied, the values of another one; of the
/// current one, if `source` is `None`. Returns `false` if the public C API has to make the copy.
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
        true
    }
}

/// Makes a hidden native context an ordinary one, which other code may have, or which may be dropped.
#[inline]
pub(crate) fn show(context: &Owned) {
    // SAFETY: the context is complete, and not tracked, since it is hidden.
    unsafe { ffi::PyObject_GC_Track(context.as_ptr().cast()) };
}

/// Visits what a hidden native context refers to, in place of the collector, which does not know it.
///
/// # Safety
///
/// As for [`ffi::traverseproc`], which this is a part of.
pub(crate) unsafe fn traverse_hidden(
    context: &Owned,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the context is alive and complete, and its type is that of native contexts, which has
    // the function. The caller passes what the collector has passed.
    unsafe {
        let context = context.as_ptr();
        (*ffi::Py_TYPE(context))
            .tp_traverse
            .map_or(0, |visit_all| visit_all(context, visit, argument))
    }
}

/// Keeps the HAMT of a context without values.
pub(super) fn keep_empty(context: &Owned) {
    // SAFETY: the context has this layout, and has not been cleared: it owns a HAMT.
    let empty = unsafe { Owned::from_borrowed(read(context.as_ptr(), LAYOUT.context_variables)) };
    EMPTY.store(empty.into_ptr(), Ordering::Relaxed);
}
