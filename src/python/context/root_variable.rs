//! The carrier of the Python module: one native context variable, the *root*.
//!
//! Its value in a native context is the bindings of that context. Code that copies or switches
//! native contexts (tasks, event loops, greenlets, executors) thereby copies and switches the
//! bindings.
//!
//! A mark holds the *native* token of the update. No public function of CPython returns the current
//! context, but resetting a native token fails in any context but its own.
//!
//! # When memory is short
//!
//! The two functions of CPython may fail after they have changed something:
//!
//! - `PyContextVar_Set` makes its token first. If that fails, it sets the variable all the same, and
//!   then reports the failure. [`install`] puts the old value back.
//! - `PyContextVar_Reset` marks the token as used first. If setting the old value fails then, the
//!   token cannot be used again. The mark remembers that, and the next [`revert`](Carrier::revert)
//!   does not use the native token.

#![allow(unsafe_code)] // Keeps a reference in an atomic.

use super::native;
use super::variable::{VariableObject, of_key};
use crate::context::{Bindings, BindingsHeap, Carrier, Version, Versioned};
use crate::map::Trie;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Exception, Owned, TypedObject as _, ffi, raise};
use crate::python::isolation::inherit_live::{self, Followed};
use crate::python::map::py_heap::{MapObject, PyHeap};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static ROOT: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// The root variable.
#[inline]
pub(crate) fn variable() -> &'static Owned {
    // SAFETY: `init` has stored a reference during the import of the module, before any other
    // function could be called. It is never dropped.
    unsafe { Owned::borrowed(&*ROOT.as_ptr()) }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    ROOT.store(native::new_variable(c"ctxvars")?.into_ptr(), Ordering::Relaxed);
    Ok(())
}

/// The object of the current bindings, `None` if the native context has no bindings.
#[inline]
pub(crate) fn current_object() -> Result<Option<MapObject>, ErrorSet> {
    native::get(variable())?.map(checked).transpose()
}

/// Whether the current bindings have this version, which is not that of empty bindings.
///
/// No reference to the bindings is kept: until other code runs, the current context keeps them, and
/// their values, alive.
#[inline]
pub(crate) fn is_current(version: Version) -> bool {
    match native::get(variable()) {
        Ok(Some(found)) => MapObject::of(&found).is_some_and(|it| it.tag().version() == version),
        Ok(None) => false,
        Err(ErrorSet) => {
            // The slow path, which the caller takes now, raises the error again.
            clear_exception();
            false
        }
    }
}

/// The map that an object is, if it is bindings: these have a version, unless they are empty.
#[inline]
pub(crate) fn as_bindings(object: &Owned) -> Option<&MapObject> {
    MapObject::of(object).filter(|map| map.tag().version() != Version::EMPTY || map.len() == 0)
}

/// The bindings that are a value of the root variable. Other code can find the variable in a native
/// context, and set it to anything.
#[inline]
pub(crate) fn checked(value: Owned) -> Result<MapObject, ErrorSet> {
    if as_bindings(&value).is_some() {
        // SAFETY: the object is a map, as `as_bindings` has found.
        return Ok(unsafe { MapObject::from_owned_unchecked(value) });
    }
    let message = c"the native context variable of ctxvars was set by other code, to %R";
    Err(raise(Exception::RuntimeError, message, &value))
}

/// Sets the root variable in the current context, and returns the native token.
#[inline]
fn set(object: &Owned, paused: &GcPause) -> Result<Owned, ErrorSet> {
    native::set(variable(), object, paused)
}

/// Makes `bindings` current in place of `before`, and returns the native token.
#[inline]
fn install(
    bindings: Bindings<PyHeap>,
    before: Option<&MapObject>,
    paused: &GcPause,
) -> Result<Owned, ErrorSet> {
    let object = MapObject::from_trie(Trie::from_root(bindings.into_root()));
    set(&object, paused).map_err(|raised| restore(raised, &object, before, paused))
}

/// After a failure to set the root variable to `object`: restores its old value, if CPython has set
/// it all the same.
#[cold]
fn restore(
    raised: ErrorSet,
    object: &Owned,
    before: Option<&MapObject>,
    paused: &GcPause,
) -> ErrorSet {
    let error = raised.take();
    if matches!(native::get(variable()), Ok(Some(now)) if now.is(object)) {
        // This may fail in the same way, and set the variable all the same. If it does not even set
        // the variable, no memory is left for anything.
        if let Err(another) = set(&or_empty(before), paused) {
            drop(another.take());
        }
    }
    error.map_or(ErrorSet, ErrorSet::restore)
}

/// The object of bindings, or that of empty bindings.
fn or_empty(bindings: Option<&MapObject>) -> MapObject {
    bindings.map_or_else(|| MapObject::from_trie(Trie::new()), MapObject::clone_reference)
}

/// Makes `bindings`, in which values have been restored, current. Variables that followed a caller
/// until they were set follow it again.
///
/// Returns an object to be dropped after the update.
fn install_changed(
    mut bindings: Bindings<PyHeap>,
    before: Option<&MapObject>,
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

/// The version of the newest bindings, with the GIL.
static LAST_VERSION: AtomicU64 = AtomicU64::new(0);

impl BindingsHeap for PyHeap {
    type Variable = VariableObject;

    #[inline]
    fn variable(key: &Owned) -> Result<&VariableObject, ErrorSet> {
        of_key(key)
    }

    #[inline]
    fn is_same_key(a: &Owned, b: &Owned) -> bool {
        a.is(b)
    }

    /// With the GIL, a load and a store are enough; they are cheaper than an atomic addition.
    #[inline]
    fn next_version() -> Version {
        if FREE_THREADED {
            return Version::next();
        }
        let version = LAST_VERSION.load(Ordering::Relaxed) + 1;
        LAST_VERSION.store(version, Ordering::Relaxed);
        Version::from_number(version)
    }
}

/// The [`Carrier`] that keeps the current bindings in the root variable.
pub(crate) struct NativeRoot;

/// The trace of an update, by which it can be reverted.
pub(crate) struct Mark {
    /// The token of the update of the root.
    pub(crate) native: Owned,
    /// The version of the bindings that the update made, or the unused version if the native token
    /// cannot be used any more. It changes only in the context of the update.
    version: AtomicU64,
}

impl Mark {
    /// Whether the current native context, which has these bindings, is the one that was updated.
    ///
    /// A token reveals its context to the garbage collector. Setting the root variable to the value
    /// that it has changes nothing, and returns a token of the current context.
    fn is_of_current_context(
        &self,
        bindings: Option<&MapObject>,
        paused: &GcPause,
    ) -> Result<bool, ErrorSet> {
        let now = set(&or_empty(bindings), paused)?;
        let current = native::context_of(&now)?;
        let updated = native::context_visited_in(&self.native);
        let is_it = updated.is_some_and(|updated| updated.is(&current));
        if !is_it && bindings.is_none() {
            // The variable had no value. If this fails, it keeps empty bindings, which are
            // equivalent.
            if let Err(raised) = native::reset(variable(), &now, paused) {
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
        // Dropped last: these bindings may be the only owner of values that are taken out.
        let before = current_object()?;
        let mut bindings = shared(before.as_ref());
        let paused = GcPause::new();
        let mut inherited_before = None;
        // If nothing has changed since, the native reset restores the old bindings, unless a
        // variable may have to follow a caller again.
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

/// The bindings that a map is; empty bindings if there is none. O(1).
#[inline]
fn shared(object: Option<&MapObject>) -> Bindings<PyHeap> {
    object.map_or_else(Bindings::new, |object| Bindings::from_root(object.share().into_root()))
}

/// Restores the bindings from before the update, if nothing has changed since. Returns `false` if
/// the current native context is another one.
#[inline]
fn reset(mark: &Mark, paused: &GcPause) -> Result<bool, ErrorSet> {
    if native::reset(variable(), &mark.native, paused).is_ok() {
        return Ok(true);
    }
    if Exception::ValueError.is_set() {
        clear_exception();
        return Ok(false);
    }
    if Exception::MemoryError.is_set() {
        mark.version.store(Version::UNUSED.number(), Ordering::Relaxed);
    }
    Err(ErrorSet)
}
