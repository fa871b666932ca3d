//! Native contexts and native context variables, which carry those of this module.
//!
//! The functions of CPython check the types of their arguments, and raise `TypeError` for others.
//! So they are safe for any live objects.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::native_layout;
use super::root_variable::{self, Stored};
use crate::map::Trie;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::{with_all_context_locks, with_own_context_lock};
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, RawObject, checked, ffi, raise, raise_message,
};
use crate::python::map::py_heap::PyHeap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

pub(crate) fn is_native_context(object: &Owned) -> bool {
    // SAFETY: the object is alive; the function reads its type.
    unsafe { ffi::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// Raises `TypeError` unless `context` is a native context.
pub(crate) fn check_native(context: &Owned) -> Result<(), ErrorSet> {
    if is_native_context(context) {
        return Ok(());
    }
    let message = c"native must be a contextvars.Context, got %R";
    Err(raise(Exception::TypeError, message, context))
}

/// A new native context, in which no variable has a value.
pub(crate) fn new_context() -> Result<Owned, ErrorSet> {
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Owned::new(ffi::PyContext_New()) }
}

/// A copy of the current native context. O(1).
pub(crate) fn copy_of_current() -> Result<Owned, ErrorSet> {
    let _paused = GcPause::new();
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Owned::new(ffi::PyContext_CopyCurrent()) }
}

/// A copy of a native context. O(1).
pub(crate) fn copy_of(context: &Owned) -> Result<Owned, ErrorSet> {
    let _paused = GcPause::new();
    // SAFETY: the object is alive, and the call checks its type. It returns a new reference, or
    // null with an exception set.
    with_all_context_locks(|| unsafe { Owned::new(ffi::PyContext_Copy(context.as_ptr())) })
}

/// A new native variable without a default.
pub(crate) fn new_variable(name: &'static CStr) -> Result<Owned, ErrorSet> {
    // SAFETY: the name ends with a null byte. The call returns a new reference, or null.
    unsafe { Owned::new(ffi::PyContextVar_New(name.as_ptr(), ptr::null_mut())) }
}

/// The value of a native variable in the current native context.
#[inline]
pub(crate) fn get(variable: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let mut found = ptr::null_mut();
    // SAFETY: the object is alive, and the call checks its type. `found` receives a new reference,
    // or null.
    unsafe {
        if ffi::PyContextVar_Get(variable.as_ptr(), ptr::null_mut(), &raw mut found) < 0 {
            return Err(ErrorSet);
        }
        Ok(if found.is_null() { None } else { Some(Owned::new(found)?) })
    }
}

/// Sets a native variable in the current native context, and returns the token.
///
/// A collection in the middle may crash the native context (gh-148891), so it must be paused.
#[inline]
pub(crate) fn set(variable: &Owned, value: &Owned, _: &GcPause) -> Result<Owned, ErrorSet> {
    let (variable, value) = (variable.as_ptr(), value.as_ptr());
    // SAFETY: both objects are alive, and the call checks the type of the variable. It returns a
    // new reference, or null with an exception set.
    with_own_context_lock(|| unsafe { Owned::new(ffi::PyContextVar_Set(variable, value)) })
}

/// Undoes the effect of [`set`], which returned the token.
#[inline]
pub(crate) fn reset(variable: &Owned, token: &Owned, _: &GcPause) -> Result<(), ErrorSet> {
    let (variable, token) = (variable.as_ptr(), token.as_ptr());
    // SAFETY: both objects are alive, and the call checks their types.
    checked(with_own_context_lock(|| unsafe { ffi::PyContextVar_Reset(variable, token) })).map(drop)
}

/// The value of the root variable in a native context, `None` if it has none. O(1).
#[inline]
pub(crate) fn stored_in(native: &Owned) -> Result<Option<Stored>, ErrorSet> {
    match native_layout::value_in(native) {
        Some(value) => value.map(root_variable::checked).transpose(),
        None => stored_slowly(native),
    }
}

/// As [`stored_in`], by the public C API.
fn stored_slowly(native: &Owned) -> Result<Option<Stored>, ErrorSet> {
    let context = native.as_ptr();
    // SAFETY: a type has a table of mapping functions, or null, and the function in the slot takes
    // an instance of the type and a key. It returns a new reference, or null with an exception set.
    let found = unsafe {
        let mapping = (*ffi::Py_TYPE(context)).tp_as_mapping.as_ref();
        let Some(subscript) = mapping.and_then(|mapping| mapping.mp_subscript) else {
            return Err(raise(Exception::TypeError, c"%R is not a mapping", native));
        };
        let root = root_variable::variable().as_ptr();
        Owned::new(with_all_context_locks(|| subscript.call_slot((context, root))))
    };
    match found {
        Ok(found) => root_variable::checked(found).map(Some),
        Err(ErrorSet) if Exception::KeyError.is_set() => {
            clear_exception();
            Ok(None)
        }
        Err(ErrorSet) => Err(ErrorSet),
    }
}

/// A weak reference to a native context.
pub(crate) fn weak_reference(context: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: the context is alive. The call returns a new reference, or null with an exception set.
    unsafe { Owned::new(ffi::PyWeakref_NewRef(context.as_ptr(), ptr::null_mut())) }
}

/// The object of a weak reference, `None` if it is gone.
pub(crate) fn referenced(weak_reference: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let mut found = ptr::null_mut();
    // SAFETY: the object is alive, and the call checks its type. `found` receives a new reference,
    // or null.
    unsafe {
        checked(ffi::PyWeakref_GetRef(weak_reference.as_ptr(), &raw mut found))?;
        Ok(Owned::new(found).ok())
    }
}

/// The bindings of a native context, as a map. O(1).
pub(crate) fn bindings(native: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    let bindings = stored_in(native)?.map(|stored| stored.share().into_root());
    Ok(Trie::from_root(bindings.flatten()))
}

/// The native context in which a token of a native variable was made.
///
/// No public function of CPython returns the current native context. But the garbage collector
/// visits the context of a token, and no other context if the values of the variable are not
/// contexts.
pub(crate) fn context_of(token: &Owned) -> Result<Owned, ErrorSet> {
    context_visited_in(token).ok_or_else(|| {
        let message = c"a token of contextvars does not show its context to the collector";
        raise_message(Exception::SystemError, message)
    })
}

/// As [`context_of`], for a token that the garbage collector may have cleared.
pub(crate) fn context_visited_in(token: &Owned) -> Option<Owned> {
    unsafe extern "C" fn visit(object: RawObject, found: *mut c_void) -> c_int {
        // SAFETY: `tp_traverse` passes a live object, and the pointer that it was given below.
        unsafe {
            let is_context = ffi::PyContext_CheckExact(object);
            if is_context != 0 {
                *found.cast() = object;
            }
            is_context
        }
    }
    let mut found: RawObject = ptr::null_mut();
    // SAFETY: the token is alive and complete. `visit` changes nothing, so the token still refers
    // to the context that was found.
    unsafe {
        if let Some(traverse) = (*ffi::Py_TYPE(token.as_ptr())).tp_traverse {
            traverse(token.as_ptr(), visit, (&raw mut found).cast());
        }
        (!found.is_null()).then(|| Owned::from_borrowed(found))
    }
}
