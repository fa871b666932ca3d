//! Data that threads share, with and without the GIL.
//!
//! With the GIL, all that a thread does between two pieces of Python code is atomic. A free-threaded
//! build has no GIL; the items of this module replace it there. On other builds they cost nothing.
//!
//! | shared data | protection |
//! | --- | --- |
//! | a mutation, an iterator, a scope | [`with_object_lock`]: one thread at a time for each object |
//! | a native context in which one thread runs | [`with_own_context_lock`], [`with_all_context_locks`] |
//! | a reference that is set or replaced; the state of the recorder | [`SharedRef`], [`Shared`] |
//! | a number, a pointer to an immortal object | a relaxed atomic |
//! | a map, a token, a facade, a variable | immutability |
//!
//! Where a comment says that the thread is attached, the thread holds the GIL, if there is one.
//!
//! Free-threaded builds have no free lists, and variables do not cache values: a cached version and
//! value would have to change together.

#![allow(unsafe_code)] // Reads reference counts, and cells that the GIL protects.

use super::{Owned, RawObject, attached, ffi};
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;

/// Whether the interpreter has no GIL.
pub(crate) const FREE_THREADED: bool = cfg!(Py_GIL_DISABLED);

/// Runs `body` while no other thread runs such a body for the same object.
///
/// Like the GIL, the lock may be released while `body` runs Python code.
#[inline(always)]
pub(crate) fn with_object_lock<R>(object: &Owned, body: impl FnOnce() -> R) -> R {
    if !FREE_THREADED {
        return body();
    }
    // SAFETY: the reference keeps the object alive until the critical section ends.
    let object = unsafe { Borrowed::from_ptr(attached(), object.as_ptr()) };
    with_critical_section(&object, body)
}

/// Whether the given reference to an object is the only one, so that no other code can see the
/// object change.
///
/// A free-threaded build may return `false` even then, for an object that another thread has made.
#[inline(always)]
pub(crate) fn is_only_reference(object: &Owned) -> bool {
    // SAFETY: the object is alive; the functions read its reference count.
    unsafe {
        #[cfg(Py_GIL_DISABLED)]
        return ffi::PyUnstable_Object_IsUniquelyReferenced(object.as_ptr()) != 0;
        #[cfg(not(Py_GIL_DISABLED))]
        return ffi::Py_REFCNT(object.as_ptr()) == 1;
    }
}

/// A value that attached threads change.
pub(crate) struct Shared<T> {
    #[cfg(Py_GIL_DISABLED)]
    value: pyo3::sync::PyMutex<T>,
    #[cfg(not(Py_GIL_DISABLED))]
    value: std::cell::UnsafeCell<T>,
}

// SAFETY: only `with` uses the value, in one thread at a time: it takes the lock, or the thread
// holds the GIL and runs no code that releases it. The references in the value are counted by
// attached threads only, since all threads that call this module are attached.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline(always)]
    pub(crate) const fn new(value: T) -> Self {
        #[cfg(Py_GIL_DISABLED)]
        let value = pyo3::sync::PyMutex::new(value);
        #[cfg(not(Py_GIL_DISABLED))]
        let value = std::cell::UnsafeCell::new(value);
        Self { value }
    }

    /// `body` runs no Python code, drops no object, and does not use this value otherwise.
    #[inline(always)]
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(Py_GIL_DISABLED)]
        return body(&mut self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        #[cfg(not(Py_GIL_DISABLED))]
        // SAFETY: the thread holds the GIL, and `body` runs no Python code, so no other reference
        // to the value exists meanwhile.
        return body(unsafe { &mut *self.value.get() });
    }
}

/// An optional reference that can be set and replaced.
pub(crate) struct SharedRef(Shared<Option<Owned>>);

impl SharedRef {
    #[inline(always)]
    pub(crate) const fn new(value: Option<Owned>) -> Self {
        Self(Shared::new(value))
    }

    /// Another reference to the object that it holds.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Owned> {
        self.0.with(|value| value.clone())
    }

    /// Another reference to the object that it holds. If it is empty, it holds `value` from now on.
    pub(crate) fn get_or_set(&self, value: Owned) -> Owned {
        self.0.with(|kept| kept.get_or_insert(value).clone())
    }

    pub(crate) fn set(&self, value: Option<Owned>) {
        // Dropped outside of `with`, since that may run Python code.
        drop(self.0.with(|kept| std::mem::replace(kept, value)));
    }

    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Owned> {
        self.0.with(Option::take)
    }

    /// The object that it holds, as a borrowed reference for the garbage collector.
    pub(crate) fn visited(&self) -> Option<RawObject> {
        self.0.with(|value| value.as_ref().map(Owned::as_ptr))
    }
}

/// Runs `body`, which changes the current native context, while no other thread reads it.
#[inline(always)]
pub(crate) fn with_own_context_lock<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(Py_GIL_DISABLED)]
    let _locked = contexts::lock_own();
    body()
}

/// Runs `body`, which reads a native context, while no other thread changes one.
#[inline(always)]
pub(crate) fn with_all_context_locks<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(Py_GIL_DISABLED)]
    let _locked = contexts::lock_all();
    body()
}

/// Locks for native contexts, which CPython 3.14 does not lock itself.
///
/// No function of CPython returns the native context in which a variable is set, so contexts cannot
/// have locks. Threads have locks instead, and a few threads may share one. A thread takes its own
/// lock to set a variable, which is frequent. It takes all locks to read a context in which another
/// thread may run, which is rare.
#[cfg(Py_GIL_DISABLED)]
mod contexts {
    use pyo3::sync::{PyMutex, PyMutexGuard};
    use std::sync::PoisonError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LOCKS: usize = 16;

    /// Each lock fills a cache line, so that threads do not slow one another down.
    #[repr(align(64))]
    struct Lock(PyMutex<()>);

    impl Lock {
        fn lock(&self) -> PyMutexGuard<'_, ()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    static ALL: [Lock; LOCKS] = [const { Lock(PyMutex::new(())) }; LOCKS];
    static THREADS: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static OWN: &'static Lock = {
            // A thread that holds all locks in use has to hold this one as well.
            let _first = ALL[0].lock();
            &ALL[THREADS.fetch_add(1, Ordering::Relaxed) % LOCKS]
        };
    }

    pub(crate) fn lock_own() -> PyMutexGuard<'static, ()> {
        OWN.with(|own| own.lock())
    }

    /// Takes all locks that are in use, in one order, so that no two threads wait for each other.
    pub(crate) fn lock_all() -> [Option<PyMutexGuard<'static, ()>>; LOCKS] {
        let mut locked = [const { None }; LOCKS];
        locked[0] = Some(ALL[0].lock());
        let in_use = THREADS.load(Ordering::Relaxed).clamp(1, LOCKS);
        for (place, lock) in locked.iter_mut().zip(&ALL).take(in_use).skip(1) {
            *place = Some(lock.lock());
        }
        locked
    }
}
