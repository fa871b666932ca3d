//! The carrier of the Python module: one native context variable, the *root*.
//!
//! Its value in a native context is that context's bindings. Whatever copies or switches native
//! contexts (tasks, event loops, greenlets, executors) thereby copies and switches ours.
//!
//! A mark is the *native* token of the update: no public function of CPython tells which context is
//! current, but resetting a native token fails exactly if it is not the one of the token.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::collector::CollectorPaused;
use super::heap::{self, PyHeap};
use super::live::{self, Followed};
use super::map;
use super::object::{Object, Owned, Raised, raise};
use super::sharing::while_setting;
use crate::context::{Bindings, Carrier, Version, Versioned};
use crate::map::Trie;
use pyo3::ffi;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

static ROOT: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// The root variable.
#[inline]
pub(super) fn variable() -> Object {
    ROOT.load(Ordering::Relaxed)
}

pub(super) fn init() -> Result<(), Raised> {
    // SAFETY: the name ends with a null byte; there is no default.
    let root = unsafe { ffi::PyContextVar_New(c"ctxvars".as_ptr(), ptr::null_mut()) };
    if root.is_null() {
        return Err(Raised);
    }
    ROOT.store(root, Ordering::Relaxed);
    Ok(())
}

/// The value of the root variable in the current context, unchecked.
#[inline]
fn value() -> Result<Option<Owned>, Raised> {
    let mut found = ptr::null_mut();
    // SAFETY: the root is a context variable; `found` receives a reference or null.
    unsafe {
        if ffi::PyContextVar_Get(variable(), ptr::null_mut(), &raw mut found) < 0 {
            return Err(Raised);
        }
        Ok(if found.is_null() { None } else { Some(Owned::new(found)?) })
    }
}

/// The object of the current bindings, `None` if there are none.
#[inline]
pub(super) fn current_object() -> Result<Option<Owned>, Raised> {
    value()?.map(checked).transpose()
}

/// Whether the current bindings have this version, which is not that of empty ones.
///
/// The reference to them is given back: the current context keeps them, and their values, alive
/// until something else runs.
#[inline]
pub(super) fn is_current(version: Version) -> bool {
    match value() {
        // SAFETY: the object is alive, and a map if its class says so.
        Ok(Some(found)) => unsafe {
            map::CLASS.is_class_of(found.as_ptr()) && heap::tag(found.as_ptr()).version() == version
        },
        Ok(None) => false,
        Err(Raised) => {
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
pub(super) unsafe fn are_bindings(object: Object) -> bool {
    // SAFETY: as the caller promises; the object is a map if its class says so.
    unsafe {
        map::CLASS.is_class_of(object)
            && (heap::tag(object).version() != Version::EMPTY || heap::len(object) == 0)
    }
}

/// A value of the root variable, which other code can find in a native context, and set.
#[inline]
pub(super) fn checked(value: Owned) -> Result<Owned, Raised> {
    // SAFETY: the object is alive.
    if unsafe { are_bindings(value.as_ptr()) } {
        return Ok(value);
    }
    let message = c"the native context variable of ctxvars was set by other code, to %R";
    // SAFETY: exceptions live as long as the interpreter.
    Err(raise(unsafe { ffi::PyExc_RuntimeError }, message, value.as_ptr()))
}

/// Makes `bindings` current and returns the native token.
fn install(bindings: Bindings<PyHeap>) -> Result<Owned, Raised> {
    let object = heap::into_object(Trie::from_root(bindings.into_root()));
    // SAFETY: both objects are alive.
    while_setting(|| unsafe { Owned::new(ffi::PyContextVar_Set(variable(), object.as_ptr())) })
}

/// Makes `bindings`, in which values have been put back, current. Variables that have followed a
/// caller until they were set follow it again.
/// Returns what is to be dropped when everything is done.
fn install_changed(mut bindings: Bindings<PyHeap>) -> Result<Option<Owned>, Raised> {
    let followed = if live::is_following() { live::follow_again(&mut bindings)? } else { None };
    install(bindings)?;
    Ok(followed.and_then(Followed::keep))
}

/// The [`Carrier`] that keeps the current bindings in the root variable.
pub(super) struct NativeRoot;

impl NativeRoot {
    /// Puts the bindings from before a failed operation back, and returns its exception.
    #[cold]
    fn restore(&self, before: Bindings<PyHeap>) -> Raised {
        let error = Raised.take();
        // Should this fail as well, there is nothing left to try.
        if let Err(another) = install(before) {
            drop(another.take());
        }
        error.map_or(Raised, Raised::again)
    }
}

/// What an update leaves behind.
pub(super) struct Mark {
    /// The token of the update of the root.
    pub(super) native: Owned,
    /// The version of the bindings that the update made.
    version: Version,
}

impl Carrier for NativeRoot {
    type Heap = PyHeap;
    type Mark = Mark;

    #[inline]
    fn current(&self) -> Result<Bindings<PyHeap>, Raised> {
        Ok(match current_object()? {
            // SAFETY: the object has been checked.
            Some(object) => unsafe { heap::share_bindings(&object) },
            None => Bindings::new(),
        })
    }

    #[inline]
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<R, Raised>,
    ) -> Result<(R, Mark), Raised> {
        // A collection between reading and installing the bindings would lose what it sets, and
        // crash the native context itself (gh-148891).
        let _paused = CollectorPaused::new();
        let mut bindings = self.current()?;
        let result = edit(&mut bindings)?;
        let version = bindings.version();
        Ok((result, Mark { native: install(bindings)?, version }))
    }

    #[inline]
    fn revert(
        &self,
        mark: &Mark,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<(), Raised>,
        done: impl FnOnce(),
    ) -> Result<bool, Raised> {
        // Dropped last, after everything is done: it may be the only owner of what is taken out.
        let before = self.current()?;
        let mut bindings = before.clone();
        let _paused = CollectorPaused::new();
        // If nothing has changed since, the native reset alone puts the old bindings back.
        // Not where a variable may have to follow a caller again.
        let unchanged = bindings.version() == mark.version && !live::is_following();
        if !unchanged {
            edit(&mut bindings)?;
        }
        // SAFETY: both objects are alive, and of the native types.
        unsafe {
            let native = mark.native.as_ptr();
            if while_setting(|| ffi::PyContextVar_Reset(variable(), native)) < 0 {
                if ffi::PyErr_ExceptionMatches(ffi::PyExc_ValueError) == 0 {
                    return Err(Raised);
                }
                ffi::PyErr_Clear();
                return Ok(false);
            }
        }
        let mut inherited_before = None;
        if !unchanged {
            match install_changed(bindings) {
                Ok(replaced) => inherited_before = replaced,
                Err(Raised) => return Err(self.restore(before)),
            }
        }
        done();
        drop(inherited_before); // may run user code
        Ok(true)
    }
}
