//! Free lists for the instances of hot classes.

#![allow(unsafe_code)] // Reuses the memory of dead objects.

use super::gc::free;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::{RawObject, ffi};
use std::cell::UnsafeCell;
use std::ptr;

/// The memory of up to `N` dead instances of one size, to be reused.
///
/// The GIL guards the list: a thread that allocates or frees objects holds the GIL. On a
/// free-threaded build, the list stays empty.
pub(crate) struct FreeList<const N: usize>(UnsafeCell<Blocks<N>>);

struct Blocks<const N: usize> {
    count: usize,
    blocks: [RawObject; N],
}

// SAFETY: a thread accesses the blocks only if `KEEPS` is true, so only with the GIL, which
// excludes all other threads.
unsafe impl<const N: usize> Sync for FreeList<N> {}

impl<const N: usize> FreeList<N> {
    /// Whether memory is reused. It is not on free-threaded builds, and not on builds that list all
    /// live objects or use a sanitizer, which must see that each object is freed.
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
        // SAFETY: the thread holds the GIL, so no other thread uses the list. The block is a dead
        // instance with a reference to its type. The increment sets its reference count from 0 to
        // 1.
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

    /// Whether `give` would keep another block.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        // SAFETY: the thread holds the GIL, so no other thread uses the list.
        Self::KEEPS && unsafe { (*self.0.get()).count < N }
    }

    /// Keeps or frees the memory of a dead, untracked instance, with its reference to its class.
    ///
    /// # Safety
    ///
    /// The instance has no references, is untracked, and its fields are dropped.
    #[inline]
    pub(crate) unsafe fn give(&self, object: RawObject) {
        // SAFETY: the thread holds the GIL, so no other thread uses the list. No code uses the dead
        // instance, so the list may keep its memory, or `free` may free it.
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
