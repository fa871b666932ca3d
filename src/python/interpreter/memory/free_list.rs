//! Free lists for the instances of hot classes.

#![allow(unsafe_code)] // Hands out memory of dead objects.

use super::gc::free;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::{RawObject, ffi};
use std::cell::UnsafeCell;
use std::ptr;

/// Memory of up to `N` dead instances of one size, kept for the next ones.
///
/// It is catch_panic by the interpreter's lock, which is held wherever CPython allocates or frees; where
/// there is none, nothing is kept.
pub(crate) struct FreeList<const N: usize>(UnsafeCell<Blocks<N>>);

struct Blocks<const N: usize> {
    count: usize,
    blocks: [RawObject; N],
}

// SAFETY: only touched with the interpreter's lock held, if there is one, else not at all.
unsafe impl<const N: usize> Sync for FreeList<N> {}

impl<const N: usize> FreeList<N> {
    /// Not in a build that keeps a list of all live objects, which must see each of them come and
    /// go, nor where there is no lock, or a sanitizer is to see the end of each object.
    const KEEPS: bool =
        !cfg!(py_sys_config = "Py_TRACE_REFS") && !FREE_THREADED && !cfg!(no_free_lists);

    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Blocks { count: 0, blocks: [ptr::null_mut(); N] }))
    }

    /// An instance with one reference, its fields uninitialised, if there is a block.
    ///
    /// # Safety
    ///
    /// The lock is held; all blocks came from instances of one class and size.
    #[inline]
    pub(crate) unsafe fn take(&self) -> Option<RawObject> {
        // SAFETY: nobody else looks while the lock is held. The block is an instance without
        // references, which still has its class; one reference makes it alive again.
        unsafe {
            if !Self::KEEPS {
                return None;
            }
            let list = &mut *self.0.get();
            list.count = list.count.checked_sub(1)?;
            let object = list.blocks[list.count];
            ffi::Py_INCREF(object);
            Some(object)
        }
    }

    /// Keeps or frees the memory of a dead, untracked instance, with its reference to its class.
    ///
    /// # Safety
    ///
    /// The lock is held; the instance has no references, is untracked and its fields are dropped.
    #[inline]
    pub(crate) unsafe fn give(&self, object: RawObject) {
        // SAFETY: as the caller promises.
        unsafe {
            debug_assert_eq!(ffi::Py_REFCNT(object), 0);
            if Self::KEEPS {
                let list = &mut *self.0.get();
                if list.count < N {
                    list.blocks[list.count] = object;
                    list.count += 1;
                    return;
                }
            }
            free(object);
        }
    }
}
