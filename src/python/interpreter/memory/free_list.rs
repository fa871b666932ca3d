//! Free lists for the instances of hot classes.

#![allow(unsafe_code)] // Hands out memory of dead objects.

use super::gc::free;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::{RawObject, ffi};
use std::cell::UnsafeCell;
use std::ptr;

/// Memory of up to `N` dead instances of one size, kept for the next ones.
///
/// The GIL guards it: a thread that allocates or frees objects holds the GIL. Without the GIL, nothing is
/// kept.
pub(crate) struct FreeList<const N: usize>(UnsafeCell<Blocks<N>>);

struct Blocks<const N: usize> {
    count: usize,
    blocks: [RawObject; N],
}

// SAFETY: only threads that hold the GIL use a list; without the GIL, no thread does (see `KEEPS`).
unsafe impl<const N: usize> Sync for FreeList<N> {}

impl<const N: usize> FreeList<N> {
    /// False for builds that record all live objects or use a sanitizer, which must see each object end,
    /// and without the GIL.
    const KEEPS: bool =
        !cfg!(py_sys_config = "Py_TRACE_REFS") && !FREE_THREADED && !cfg!(no_free_lists);

    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Blocks { count: 0, blocks: [ptr::null_mut(); N] }))
    }

    /// An instance with one reference, its fields uninitialised, if there is a block.
    ///
    /// # Safety
    ///
    /// All blocks came from instances of one type and size.
    #[inline]
    pub(crate) unsafe fn take(&self) -> Option<RawObject> {
        // SAFETY: the thread holds the GIL, so no other one uses the list. The block is an instance
        // without references, which still has its type. One reference makes it alive again.
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
    /// The instance has no references, is untracked, and its fields are dropped.
    #[inline]
    pub(crate) unsafe fn give(&self, object: RawObject) {
        // SAFETY: the thread holds the GIL, so no other one uses the list. No code uses the dead instance,
        // so its memory may be kept or freed.
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
