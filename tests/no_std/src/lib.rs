//! Uses the map on a target without an operating system, in a crate without std.
//!
//! It has a panic handler and an allocator. If a dependency linked std, both would be defined twice,
//! and the build would fail.

#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use ctxvars::HashTrieMap;

/// Takes memory from a fixed block, and never gives it back.
struct Block;

const SIZE: usize = 32 << 20;

#[repr(align(4096))]
struct Memory(core::cell::UnsafeCell<[u8; SIZE]>);

// SAFETY: the allocator hands out each byte once.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(core::cell::UnsafeCell::new([0; SIZE]));
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each result is an aligned part of the block that no earlier call has returned, or null.
unsafe impl GlobalAlloc for Block {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() + layout.align();
        let start = USED.fetch_add(size, Ordering::Relaxed);
        let place = start.next_multiple_of(layout.align());
        if layout.align() > 4096 || place + layout.size() > SIZE {
            return null_mut();
        }
        // SAFETY: `place` is an offset in the block, as checked.
        unsafe { MEMORY.0.get().cast::<u8>().add(place) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Block = Block;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Returns the number of entries that the checks have seen. A failed check traps.
#[unsafe(no_mangle)]
pub extern "C" fn check() -> u32 {
    let mut map: HashTrieMap<String, u32> = HashTrieMap::new();
    for number in 0..1000 {
        assert!(map.insert(number.to_string(), number).is_none());
    }
    let before = map.clone();
    for number in (0..1000).step_by(2) {
        assert_eq!(map.remove(&number.to_string()), Some(number));
    }
    assert_eq!((before.len(), map.len(), before.diff(&map).len()), (1000, 500, 500));
    let theirs = before.update("new".to_string(), 1);
    let merged = before.merge(&map, &theirs, |conflict| conflict.ours.copied());
    assert_eq!((merged.len(), merged["new"], merged.get("0")), (501, 1, None));
    let mut values: Vec<u32> = map.values().copied().collect();
    values.sort_unstable();
    assert!(values.iter().copied().eq((1..1000).step_by(2)));
    (before.len() + map.len() + merged.len()) as u32
}
