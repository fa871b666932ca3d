//! The carrier of the Python module: one native context variable, the *root*.
//!
//! Its value in a native context is that context's bindings. Whatever copies or switches native
//! contexts (tasks, event loops, greenlets, executors) thereby copies and switches ours.
//!
//! A mark holds the *native* token of the update: no public function of CPython tells which context
//! is current, but resetting a native token fails if it is not the one of the token.
//!
//! # When memory is short
//!
//! The two functions of CPython may fail after they have changed something:
//!
//! - `PyContextVar_Set` makes its token first. If that fails it sets the variable all the same, and
//!   then reports the failure. [`install`] puts the old value back.
//! - `PyContextVar_Reset` marks the token as used first. If setting the old value fails then, the
//!   token cannot be used again. The mark remembers that, and the next [`revert`](Carrier::revert)
//!   does without the native reset.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::context;
use crate::context::{Bindings, Carrier, Version, Versioned};
use crate::map::Trie;
use crate::python::context::default_factory::{context_of, shown_context};
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::types;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, ffi, raise};
use crate::python::isolation::inherit_live;
use crate::python::isolation::inherit_live::Followed;
use crate::python::map::py_heap;
use crate::python::map::py_heap::PyHeap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static ROOT: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// The root variable.
#[inline]
pub(crate) fn variable() -> RawObject {
    ROOT.load(Ordering::Relaxed)
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: the name ends with a null byte; there is no default.
    let root = unsafe { ffi::PyContextVar_New(c"ctxvars".as_ptr(), ptr::null_mut()) };
    if root.is_null() {
        return Err(ErrorSet);
    }
    ROOT.store(root, Ordering::Relaxed);
    Ok(())
}

/// The value of the root variable in the current context, unchecked.
#[inline]
fn value() -> Result<Option<Owned>, ErrorSet> {
    let mut found = ptr::null_mut();
    // SAFETY: the root is a context variable; `found` receives a reference or null.
    unsafe {
        if ffi::PyContextVar_Get(variable(), ptr::null_mut(), &raw mut found) < 0 {
            return Err(ErrorSet);
        }
        Ok(if found.is_null() { None } else { Some(Owned::new(found)?) })
    }
}

/// The object of the current bindings, `None` if there are none.
#[inline]
pub(crate) fn current_object() -> Result<Option<Owned>, ErrorSet> {
    value()?.map(checked).transpose()
}

/// Whether the current bindings have this version, which is not that of empty ones.
///
/// The reference to them is given back: the current context keeps them, and their values, alive
/// until something else runs.
#[inline]
pub(crate) fn is_current(version: Version) -> bool {
    match value() {
        // SAFETY: the object is alive, and a map if its class says so.
        Ok(Some(found)) => unsafe {
            types::MAP.is_type_of(found.as_ptr())
                && py_heap::tag(found.as_ptr()).version() == version
        },
        Ok(None) => false,
        Err(ErrorSet) => {
            // Whoever looks closer will meet the error again.
            // SAFETY: the lock is held.
            unsafe { ffi::PyErr_Clear() };
            false
        }
    }
}

/// Whether `object` is bindings: they have a version, unless they are empty; other maps do not.
///
/// # Safety
///
/// `object` is alive.
#[inline]
pub(crate) unsafe fn are_bindings(object: RawObject) -> bool {
    // SAFETY: as the caller promises; the object is a map if its class says so.
    unsafe {
        types::MAP.is_type_of(object)
            && (py_heap::tag(object).version() != Version::EMPTY || py_heap::len(object) == 0)
    }
}

/// A value of the root variable, which other code can find in a native context, and set.
#[inline]
pub(crate) fn checked(value: Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: the object is alive.
    if unsafe { are_bindings(value.as_ptr()) } {
        return Ok(value);
    }
    let message = c"the native context variable of ctxvars was set by other code, to %R";
    // SAFETY: exceptions live as long as the interpreter.
    Err(raise(unsafe { ffi::PyExc_RuntimeError }, message, value.as_ptr()))
}

/// Sets the root variable in the current context, and returns the native token.
#[inline]
fn set(object: &Owned, paused: &GcPause) -> Result<Owned, ErrorSet> {
    // SAFETY: the root is a native variable.
    unsafe { context::set_native(variable(), object, paused) }
}

/// Makes `bindings` current in place of `before`, and returns the native token.
#[inline]
fn install(
    bindings: Bindings<PyHeap>,
    before: Option<&Owned>,
    paused: &GcPause,
) -> Result<Owned, ErrorSet> {
    let object = py_heap::into_object(Trie::from_root(bindings.into_root()));
    set(&object, paused).map_err(|raised| restore(raised, &object, before, paused))
}

/// After a failure to set the root variable to `object`: puts back what it was before, if CPython
/// has set it all the same.
#[cold]
fn restore(raised: ErrorSet, object: &Owned, before: Option<&Owned>, paused: &GcPause) -> ErrorSet {
    let error = raised.take();
    if matches!(value(), Ok(Some(now)) if ptr::eq(now.as_ptr(), object.as_ptr())) {
        // This may fail in the same way: all the same the variable is set. Where not even that
        // succeeds, no memory is left for anything.
        if let Err(another) = set(&or_empty(before), paused) {
            drop(another.take());
        }
    }
    error.map_or(ErrorSet, ErrorSet::restore)
}

/// The object of bindings; that of empty ones if there is none.
fn or_empty(bindings: Option<&Owned>) -> Owned {
    bindings.cloned().unwrap_or_else(|| py_heap::into_object(Trie::new()))
}

/// Makes `bindings`, in which values have been put back, current. Variables that have followed a
/// caller until they were set follow it again.
/// Returns what is to be dropped when everything is done.
fn install_changed(
    mut bindings: Bindings<PyHeap>,
    before: Option<&Owned>,
    paused: &GcPause,
) -> Result<Option<Owned>, ErrorSet> {
    let followed = if inherit_live::is_following() {
        inherit_live::follow_again(&mut bindings)?
    } else {
        None
    };
    install(bindings, before, paused)?;
    Ok(followed.and_then(Followed::keep))
}

/// The [`Carrier`] that keeps the current bindings in the root variable.
pub(crate) struct NativeRoot;

/// What an update leaves behind.
pub(crate) struct Mark {
    /// The token of the update of the root.
    pub(crate) native: Owned,
    /// The version of the bindings that the update made, or the unused one if the native token
    /// cannot be used any more. It changes in the context of the update only.
    version: AtomicU64,
}

impl Mark {
    /// Whether the current native context, which has these bindings, is the one that was updated.
    ///
    /// A token shows its context to the garbage collector. Setting the root variable to the value
    /// that it has changes nothing, and gives a token of the current context.
    fn is_of_current_context(
        &self,
        bindings: Option<&Owned>,
        paused: &GcPause,
    ) -> Result<bool, ErrorSet> {
        let now = set(&or_empty(bindings), paused)?;
        let current = context_of(&now)?;
        let updated = shown_context(&self.native);
        let is_it = updated.is_some_and(|updated| ptr::eq(updated.as_ptr(), current.as_ptr()));
        if !is_it && bindings.is_none() {
            // The variable had no value. That it keeps an empty one, if this fails, does no harm.
            // SAFETY: the token is one of the root variable.
            if let Err(raised) = unsafe { context::reset_native(variable(), &now, paused) } {
                drop(raised.take());
            }
        }
        Ok(is_it)
    }

    fn is_version(&self, version: Version) -> bool {
        self.version.load(Ordering::Relaxed) == version.number()
    }
}

impl Carrier for NativeRoot {
    type Heap = PyHeap;
    type UpdateMark = Mark;

    #[inline]
    fn current(&self) -> Result<Bindings<PyHeap>, ErrorSet> {
        Ok(shared(current_object()?.as_ref()))
    }

    #[inline]
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<R, ErrorSet>,
    ) -> Result<(R, Mark), ErrorSet> {
        // A collection between reading and installing the bindings would lose what it sets, and
        // crash the native context itself (gh-148891).
        let paused = GcPause::new();
        let before = current_object()?;
        let mut bindings = shared(before.as_ref());
        let result = edit(&mut bindings)?;
        let version = AtomicU64::new(bindings.version().number());
        Ok((result, Mark { native: install(bindings, before.as_ref(), &paused)?, version }))
    }

    #[inline]
    fn revert(
        &self,
        mark: &Mark,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<(), ErrorSet>,
        done: impl FnOnce(),
    ) -> Result<bool, ErrorSet> {
        // Dropped last, after everything is done: it may be the only owner of what is taken out.
        let before = current_object()?;
        let mut bindings = shared(before.as_ref());
        let paused = GcPause::new();
        let mut inherited_before = None;
        // If nothing has changed since, the native reset alone puts the old bindings back. That is
        // not so where a variable may have to follow a caller again.
        if !mark.is_version(bindings.version()) || inherit_live::is_following() {
            if !mark.is_of_current_context(before.as_ref(), &paused)? {
                return Ok(false);
            }
            edit(&mut bindings)?;
            inherited_before = install_changed(bindings, before.as_ref(), &paused)?;
        } else if !reset(mark, &paused)? {
            return Ok(false);
        }
        done();
        drop(inherited_before); // may run user code
        Ok(true)
    }
}

/// The bindings that an object is; empty ones if there is none. O(1).
#[inline]
fn shared(object: Option<&Owned>) -> Bindings<PyHeap> {
    // SAFETY: the object has been checked.
    object.map_or_else(Bindings::new, |object| unsafe { py_heap::share_bindings(object) })
}

/// Puts the bindings from before the update back, where nothing has changed since. Returns `false`
/// if the current native context is another one.
#[inline]
fn reset(mark: &Mark, paused: &GcPause) -> Result<bool, ErrorSet> {
    // SAFETY: the root is a native variable, and the mark has a token of it.
    if unsafe { context::reset_native(variable(), &mark.native, paused) }.is_ok() {
        return Ok(true);
    }
    // SAFETY: an exception is set; the exceptions live as long as the interpreter.
    unsafe {
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_ValueError) != 0 {
            ffi::PyErr_Clear();
            return Ok(false);
        }
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_MemoryError) != 0 {
            mark.version.store(Version::UNUSED.number(), Ordering::Relaxed);
        }
    }
    Err(ErrorSet)
}
