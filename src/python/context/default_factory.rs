//! Defaults that are made once for each context, by a factory.
//!
//! What was made for a context must not be inherited by its copies, as everything in a context is.
//! So it is kept beside the native context that it was made for, in a native context variable of
//! the factory's own, and is taken for nothing in any other one:
//!
//! ```text
//! native variable -> Made { value, weak reference to the native context }
//! ```
//!
//! No public function of CPython tells which native context is current, but a native token knows
//! the one that it was made in: it is the only context among what the token shows the collector. To
//! set the variable to what it is already changes nothing, and gives such a token.

#![allow(unsafe_code)] // Calls the C API of contexts and weak references.

use super::context;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::types;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, ffi, raise_message};
use std::ffi::{c_int, c_void};
use std::ptr;

/// A value, and the context that it was made for.
#[repr(C)]
struct CachedDefault {
    object: ffi::PyObject,
    value: Owned,
    /// A weak reference: a strong one would make each context a cycle.
    context: Owned,
}

/// A factory of defaults, and what it has made.
pub(crate) struct Factory {
    pub(crate) function: Owned,
    /// The native variable.
    made: Owned,
}

/// Whether a native variable has this value because a factory keeps there what it has made.
pub(crate) fn has_made(value: &Owned) -> bool {
    // SAFETY: the value is alive.
    unsafe { types::CACHED_DEFAULT.is_type_of(value.as_ptr()) }
}

impl Factory {
    /// The factory that calls `function`, and has made nothing yet.
    pub(crate) fn new(function: Owned) -> Result<Self, ErrorSet> {
        // SAFETY: the lock is held; the name ends with a null byte, and there is no default.
        let made = unsafe {
            Owned::new(ffi::PyContextVar_New(c"ctxvars default".as_ptr(), ptr::null_mut()))?
        };
        Ok(Self { function, made })
    }

    /// What the collector must know of.
    pub(crate) fn references(&self) -> [RawObject; 2] {
        [self.function.as_ptr(), self.made.as_ptr()]
    }

    /// What was made for the current context, or else is made now. O(log n) in the number of native
    /// variables.
    // Not a part of `ContextVar.get`, which is faster the less it may have to do.
    #[inline(never)]
    pub(crate) fn get(&self) -> Result<Owned, ErrorSet> {
        if let Some(value) = self.made_here()? {
            return Ok(value);
        }
        // SAFETY: the function is alive.
        let value = unsafe { Owned::new(ffi::PyObject_CallNoArgs(self.function.as_ptr()))? };
        // The function may have come here itself. What others have seen is kept.
        if let Some(first) = self.made_here()? {
            return Ok(first);
        }
        self.keep(value.clone())?;
        Ok(value)
    }

    /// What was made for the current context.
    fn made_here(&self) -> Result<Option<Owned>, ErrorSet> {
        // SAFETY: all objects are alive; a `CachedDefault` is one if its class says so.
        unsafe {
            let mut found = ptr::null_mut();
            if ffi::PyContextVar_Get(self.made.as_ptr(), ptr::null_mut(), &raw mut found) < 0 {
                return Err(ErrorSet);
            }
            let Ok(made) = Owned::new(found) else { return Ok(None) };
            if !types::CACHED_DEFAULT.is_type_of(made.as_ptr()) {
                // Set by other code, which is not what was made here.
                return Ok(None);
            }
            let CachedDefault { value, context, .. } = &*made.as_ptr().cast::<CachedDefault>();
            let here = context_of(&self.set(&made)?)?;
            let mut found = ptr::null_mut();
            if ffi::PyWeakref_GetRef(context.as_ptr(), &raw mut found) < 0 {
                return Err(ErrorSet);
            }
            let made_for = Owned::new(found).ok();
            let is_here = made_for.is_some_and(|it| ptr::eq(it.as_ptr(), here.as_ptr()));
            Ok(is_here.then(|| value.clone()))
        }
    }

    /// Keeps a value for the current context.
    fn keep(&self, value: Owned) -> Result<(), ErrorSet> {
        // SAFETY: all objects are alive. The `CachedDefault` is complete before anybody can see it.
        unsafe {
            // Something that is nothing, to learn which context it is. The tokens keep what they
            // replace alive until all is done: dropping it may run user code.
            let nothing = self.set(&Owned::from_borrowed(ffi::Py_None()))?;
            let here = context_of(&nothing)?;
            let context = Owned::new(ffi::PyWeakref_NewRef(here.as_ptr(), ptr::null_mut()))?;
            let made: *mut CachedDefault = ffi::PyObject_GC_New(types::CACHED_DEFAULT.as_ptr());
            if made.is_null() {
                return Err(ErrorSet);
            }
            (&raw mut (*made).value).write(value);
            (&raw mut (*made).context).write(context);
            ffi::PyObject_GC_Track(made.cast());
            let _last = self.set(&Owned::new(made.cast())?)?;
            Ok(())
        }
    }

    /// Sets the native variable in the current context, and returns the token.
    fn set(&self, value: &Owned) -> Result<Owned, ErrorSet> {
        // A collection in the middle may crash the native context (gh-148891).
        let paused = GcPause::new();
        // SAFETY: the variable is a native one.
        unsafe { context::set_native(self.made.as_ptr(), value, &paused) }
    }
}

/// The native context that a token of a native variable, whose values are no contexts, was made in.
pub(crate) fn context_of(token: &Owned) -> Result<Owned, ErrorSet> {
    shown_context(token).ok_or_else(|| {
        let message = c"a token of contextvars does not show its context to the collector";
        // SAFETY: exceptions live as long as the interpreter.
        raise_message(unsafe { ffi::PyExc_SystemError }, message)
    })
}

/// As [`context_of`], for a token from which the collector may have taken its context.
pub(crate) fn shown_context(token: &Owned) -> Option<Owned> {
    unsafe extern "C" fn visit(object: RawObject, found: *mut c_void) -> c_int {
        // SAFETY: CPython passes a live object, and the caller a pointer to an object.
        unsafe {
            let is_context = ffi::PyContext_CheckExact(object);
            if is_context != 0 {
                *found.cast() = object;
            }
            is_context
        }
    }
    let mut found: RawObject = ptr::null_mut();
    // SAFETY: the token is alive and complete, and stays so: nothing is visited but what it holds.
    unsafe {
        if let Some(traverse) = (*ffi::Py_TYPE(token.as_ptr())).tp_traverse {
            traverse(token.as_ptr(), visit, (&raw mut found).cast());
        }
        (!found.is_null()).then(|| Owned::from_borrowed(found))
    }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let made = &*object.cast::<CachedDefault>();
        let references = [Some(made.value.as_ptr()), Some(made.context.as_ptr())];
        gc::traverse(object, &references, visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        trashcan::bounded(object, || {
            let made = object.cast::<CachedDefault>();
            ptr::drop_in_place(&raw mut (*made).value);
            ptr::drop_in_place(&raw mut (*made).context);
            gc::free(object);
        });
    }
}

/// Makes the class of what was made, which Python code does not name.
pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: each slot has the function that its number stands for.
    unsafe {
        types::CACHED_DEFAULT.make(
            c"ctxvars._core.CachedDefault",
            size_of::<CachedDefault>(),
            0,
            ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            &[
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
            ],
        )
    }
}
