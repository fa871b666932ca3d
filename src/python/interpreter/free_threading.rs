//! What threads share, with the interpreter's lock and without.
//!
//! The lock keeps what one thread does between two pieces of Python code from all others. A
//! free-threaded build has none; there, what is here stands in for it. Elsewhere it costs nothing.
//!
//! | what threads share | what keeps it whole |
//! | --- | --- |
//! | a mutation, an iterator, a scope | [`with_object_lock`]: one thread at a time for each object |
//! | a native context in which one thread runs | [`with_own_context_lock`], [`with_all_context_locks`] |
//! | a reference that is set or replaced | [`SharedRef`] |
//! | a number, a pointer to what lives for ever | an atomic, relaxed as the lock allows |
//! | a map, a token, a facade, a variable | that it does not change |
//!
//! Where a comment says that the lock is held, the thread is attached to the interpreter, which is all
//! that a free-threaded build knows of it.
//!
//! Left out on a free-threaded build are free lists, and the value that a variable remembers: a
//! version and a value, which would have to change as one.

#![allow(unsafe_code)] // Looks at reference counts, and into cells that the lock guards.

use super::{Owned, RawObject, attached, ffi};
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;

/// Whether the interpreter has no lock.
pub(crate) const FREE_THREADED: bool = cfg!(Py_GIL_DISABLED);

/// Runs `body` while no other thread runs one for the same object.
///
/// Like the interpreter's lock, it is let go while `body` waits in Python code.
///
/// # Safety
///
/// `object` is alive, and is kept so.
#[inline]
pub(crate) unsafe fn with_object_lock<R>(object: RawObject, body: impl FnOnce() -> R) -> R {
    if !FREE_THREADED {
        return body();
    }
    // SAFETY: as the caller promises.
    let object = unsafe { Borrowed::from_ptr(attached(), object) };
    with_critical_section(&object, body)
}

/// Whether the caller's reference to an object is the only one, so that nobody sees it change.
///
/// A free-threaded build may say no even so: of an object that another thread has made.
///
/// # Safety
///
/// `object` is alive.
#[inline]
pub(crate) unsafe fn is_only_reference(object: RawObject) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        #[cfg(Py_GIL_DISABLED)]
        return ffi::PyUnstable_Object_IsUniquelyReferenced(object) != 0;
        #[cfg(not(Py_GIL_DISABLED))]
        return ffi::Py_REFCNT(object) == 1;
    }
}

/// A reference that can be set and replaced, or none.
pub(crate) struct SharedRef {
    #[cfg(Py_GIL_DISABLED)]
    value: pyo3::sync::PyMutex<Option<Owned>>,
    #[cfg(not(Py_GIL_DISABLED))]
    value: std::cell::UnsafeCell<Option<Owned>>,
}

impl SharedRef {
    #[inline]
    pub(crate) const fn new(value: Option<Owned>) -> Self {
        #[cfg(Py_GIL_DISABLED)]
        let value = pyo3::sync::PyMutex::new(value);
        #[cfg(not(Py_GIL_DISABLED))]
        let value = std::cell::UnsafeCell::new(value);
        Self { value }
    }

    /// Another reference to what it holds.
    #[inline]
    pub(crate) fn get(&self) -> Option<Owned> {
        self.with(|value| value.clone())
    }

    /// What it holds, unless it is empty: then `value`, from now on.
    pub(crate) fn get_or_set(&self, value: Owned) -> Owned {
        self.with(|kept| kept.get_or_insert(value).clone())
    }

    pub(crate) fn set(&self, value: Option<Owned>) {
        // Dropped when the slot can be used again: that may run Python code.
        drop(self.with(|kept| std::mem::replace(kept, value)));
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Owned> {
        self.with(Option::take)
    }

    /// What it holds, for the collector; not counted.
    pub(crate) fn visited(&self) -> Option<RawObject> {
        self.with(|value| value.as_ref().map(Owned::as_ptr))
    }

    /// `body` runs no Python code.
    #[inline]
    fn with<R>(&self, body: impl FnOnce(&mut Option<Owned>) -> R) -> R {
        #[cfg(Py_GIL_DISABLED)]
        return body(&mut self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        #[cfg(not(Py_GIL_DISABLED))]
        // SAFETY: the interpreter's lock is held, and `body` does not come here again.
        return body(unsafe { &mut *self.value.get() });
    }
}

/// Runs `body`, which changes the current native context, while no other thread reads it.
#[inline]
pub(crate) fn with_own_context_lock<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(Py_GIL_DISABLED)]
    let _locked = contexts::lock_own();
    body()
}

/// Runs `body`, which reads a native context, while no other thread changes one.
#[inline]
pub(crate) fn with_all_context_locks<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(Py_GIL_DISABLED)]
    let _locked = contexts::lock_all();
    body()
}

/// Locks for native contexts, which CPython 3.14 does not lock itself.
///
/// Who sets a variable cannot know in which native context, so there is not a lock for each. There
/// are some for threads: that of the own one is taken to set a variable, which is frequent, and all
/// are taken to read a context in which another thread may run, which is rare.
#[cfg(Py_GIL_DISABLED)]
mod contexts {
    use pyo3::sync::{PyMutex, PyMutexGuard};
    use std::sync::PoisonError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LOCKS: usize = 16;

    /// In a line of the cache of its own.
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
            // Whoever has locked all in use must not find one more.
            let _first = ALL[0].lock();
            &ALL[THREADS.fetch_add(1, Ordering::Relaxed) % LOCKS]
        };
    }

    pub(crate) fn lock_own() -> PyMutexGuard<'static, ()> {
        OWN.with(|own| own.lock())
    }

    /// Locks all that are in use, always in the same order, so that no two threads wait for one
    /// another.
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
