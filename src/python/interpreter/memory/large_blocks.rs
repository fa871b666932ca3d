//! The allocator of Rust's vectors in the module: large blocks go back to the system at once.
//!
//! Building a map of a million entries needs two vectors of 24 MB for a moment. The C library of
//! Linux keeps freed blocks of up to 32 MB for later allocations: 16 bytes for each entry of the
//! map. So large blocks come from the allocator of CPython's arenas, which maps and unmaps pages.

#![allow(unsafe_code)] // Implements an allocator.

use crate::python::interpreter::ffi;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::OnceLock;

/// From this size on, a block has its own pages. Filling the pages of such a block takes far longer
/// than mapping and unmapping them.
const LARGE: usize = 1 << 20;

/// The alignment of objects, which arenas have at least.
const ALIGNMENT: usize = 16;

struct LargeBlocks;

#[global_allocator]
static ALLOCATOR: LargeBlocks = LargeBlocks;

/// The allocator of arenas. The one of the first large block stays in use, so the function that
/// frees a block belongs to the one that has allocated it.
struct Arenas(ffi::PyObjectArenaAllocator);

// SAFETY: the functions can be called by any thread, since they map and unmap pages, and the
// context is a pointer that only they use.
unsafe impl Send for Arenas {}
// SAFETY: as for `Send`; the structure does not change.
unsafe impl Sync for Arenas {}

static ARENAS: OnceLock<Arenas> = OnceLock::new();

fn arenas() -> &'static ffi::PyObjectArenaAllocator {
    let arenas = ARENAS.get_or_init(|| {
        let mut arenas =
            ffi::PyObjectArenaAllocator { ctx: ptr::null_mut(), alloc: None, free: None };
        // SAFETY: the call copies the three fields, which exist since the interpreter was loaded.
        unsafe { ffi::PyObject_GetArenaAllocator(&raw mut arenas) };
        Arenas(arenas)
    });
    &arenas.0
}

#[inline]
const fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= ALIGNMENT
}

// SAFETY: a block comes from the arenas if its layout is large, else from the system. The layout, with
// which it is freed, says which. Both return blocks of the size and alignment of the layout, or null.
unsafe impl GlobalAlloc for LargeBlocks {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_large(layout) {
            // SAFETY: the contract is the one of this function.
            return unsafe { System.alloc(layout) };
        }
        let arenas = arenas();
        arenas.alloc.map_or(ptr::null_mut(), |alloc| alloc(arenas.ctx, layout.size()).cast())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_large(layout) {
            // SAFETY: `alloc` has taken a block of this layout from the system.
            return unsafe { System.dealloc(block, layout) };
        }
        let arenas = arenas();
        if let Some(free) = arenas.free {
            free(arenas.ctx, block.cast(), layout.size());
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller passes a size that is not 0 and, rounded up to the alignment, no more
        // than `isize::MAX`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !is_large(layout) && !is_large(new_layout) {
            // SAFETY: `alloc` has taken the block from the system, and the contract is the one of
            // this function.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: both layouts are valid, and both blocks are as long as the shorter layout says. They
        // are different blocks. The old one is freed with its layout, and not used afterwards.
        unsafe {
            let new = self.alloc(new_layout);
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}
